-- The keys of a namespace (see keys.py), the clock of the step, and short names. Opens every script;
-- makes no functions, because most calls end before they would need one.
local LIVE, LEASES, RECORDS, LOCKS, PAST, OWN, QUEUE, IDS, ENDED, META, VERDICTS, HEADS, STATE, TASKS, LINES, FINISHED,
  CHANGES, EVENTS = unpack(KEYS)
local FS, RS = '\31', '\30'
local call, format, find, match, sub = redis.call, string.format, string.find, string.match, string.sub
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- End a claim's request: it waits no more, and a task that it has goes back as if it had never been claimed.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, its queues...
-- Answers  1 when a task went back, else 0
-- Keeps  X4 (a mark stays even when nothing was found, so that a late claim does nothing), X5, X13, T5 (a wake-up is passed on)
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local o, gid = ARGV[1] .. FS .. ARGV[2], ARGV[3]
call('ZREM', LIVE, '')
local T = tasks()
local t = T.standing(o, gid)
if t then
  T.end_claim(t, WITHDRAWN)
  t.attempts = t.attempts - 1
  T.enter(t)
elseif not T.leave(o, gid) then
  for at = 4, #ARGV do T.pass_on(ARGV[at]) end
end
if not call('ZSCORE', ENDED, gid) then mark(gid, WITHDRAWN) end
T.commit()
return t and 1 or 0

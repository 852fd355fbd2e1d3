-- Putting signals into inboxes.

-- Whether the inbox of `to` holds as many signals as it may; those that have expired do not count.
local function full(to, most)
  local mine = to .. FS .. 'u'
  return call('ZLEXCOUNT', INBOX, '[' .. mine .. FS .. moment(now + 1), '(' .. mine .. ' ') >= most
end

-- Signals are numbered by the clock, so that numbers grow also when the last one was lost.
local last = tonumber(call('HGET', META, 'signal') or 0) or 0
if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else

-- The number is written first: on a full server this fails, and nothing else has happened.
local function deliver(id, to, o, body, sender, kind, ttl)
  last = math.max(last + 1, now_us)
  local s = {id = id, state = 'q', to = to, seq = moment(last), till = moment(now + ttl), sent = moment(now),
    seen = '0', ended = '0', body = body, sender = sender, kind = kind}
  call('HSET', META, 'signal', s.seq)
  call('HSET', SIGNALS, id, text_of(s))
  local by_number, by_end = entries(s)
  call('ZADD', INBOX, 0, by_number, 0, by_end)
  call('ZADD', DUE, now + ttl, id)
  if o then call('PUBLISH', sub(META, 1, -5) .. 's:' .. o, 'm') end
end

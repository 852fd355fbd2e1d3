-- Grant, queue or refuse a request; asked again, answer the present state of its id.
-- ARGV  agent id, incarnation, request id, name, mode (x or s), rank (9999 - priority, 5 digits), wait (1 or 0),
--       ttl in ms (0: none), most leases, listener's address, flow
-- Answers  {'G', token, ms left of the own ttl or -1, us}, {'Q', place, retry ms, us, holders...},
--          {'H', us, holders...}, {'D', us, {agent id, flow, name it waits for...}, holders...} (deadlock),
--          {'E', taken, reason, us}, {'L', reason} (session over), {'M'} (limit);
--          holders: mode, then text and ms to the end of each
-- Keeps  L1-L6, L13, L15, X4: one request id is absent, queued, held, ended, never back
--@include _keys.lua
local sid, inc, gid, name, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl = tonumber(ARGV[8])
local o = sid .. FS .. inc
local mine = o .. FS .. 'q'
local alive = call('ZSCORE', LIVE, o)

-- The common case: nobody holds the name, so nobody waits for it and this id is new unless it is over.
-- Or readers hold it, all of them there, nobody waits, and one more reader comes.
local there = call('HMGET', LOCKS, name, '')
local record = there[1]
if alive and tonumber(alive) > now and not call('ZSCORE', ENDED, gid) then
  local open = not record
  if record and mode == 's' and match(record, '^s%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d\30') then
    open = not find(record, FS .. gid .. FS, 1, true)
      and not find(record .. RS, '\31[1-9]%d*\31%d+\31[^\31\30]*\30') -- an own time that may be over
      and tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ', 'LIMIT', 0, 1) == 0
  end
  if open and call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') < tonumber(ARGV[9]) then
    local token = format('%016.0f', math.max((tonumber(there[2] or 0) or 0) + 1, now_us))
    call('HSET', LOCKS, '', token, name, mode .. token .. (record and sub(record, 18) or '') .. RS
      .. token .. FS .. gid .. FS .. o .. FS .. format('%.0f', now) .. FS
      .. (ttl > 0 and format('%.0f', now + ttl) or '0') .. FS .. '0' .. FS .. ARGV[11])
    call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. name)
    return {'G', token, ttl > 0 and ttl or -1, now_us}
  end
end
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
if not lives(o) then return {'L', why(o)} end
local s = state(name)
local over = ended(s, gid)
if over then return over end
asking = gid
clear(s)
local h = holding(s, gid)
if h then return granted(h) end
over = ended(s, gid)
if over then return over end
local w = waiting(gid)
if w then
  if w.ear ~= ARGV[10] then -- it may be heard elsewhere now
    leave(w)
    w.ear = ARGV[10]
    join(w)
  end
  return queued(s, w)
end
if full(o, tonumber(ARGV[9])) then return {'M'} end
w = {name = name, rank = ARGV[6], mode = mode, gid = gid, sid = sid, o = o, ttl = ttl, ear = ARGV[10], flow = ARGV[11],
  since = format('%.0f', now)}
local barred = s.holders[1] and conflicts(w, s.holders[1])
if not barred then
  walk(name, function(other)
    if other.rank > w.rank then return true end
    barred = conflicts(w, other)
    return barred
  end)
end
if not barred then
  call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. name)
  h = grant(s, w, token())
  commit()
  return granted(h)
end
if ARGV[7] ~= '1' then
  commit()
  return with_holders({'H', now_us}, s)
end
w.seq = token()
join(w)
--@include _deadlock.lua
local links = cycle(w)
if links then
  leave(w)
  call('ZREM', OWN, mine .. FS .. gid .. FS .. name)
  commit()
  return with_holders({'D', now_us, links}, s)
end
commit()
return queued(s, w)

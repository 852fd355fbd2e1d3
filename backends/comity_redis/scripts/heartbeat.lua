-- Move a session's deadline on, unless it is over.
-- ARGV  agent id, incarnation, version up to which losses are known
-- Answers  {1, version, live sessions, ms to the earliest deadline of another session or a claim or false} or {0, reason}
-- Keeps  S3, S6 (one small step whatever is held), X13: its first write only removes
--@include _keys.lua
local o = ARGV[1] .. FS .. ARGV[2]
local alive = call('ZSCORE', LIVE, o)
if alive and tonumber(alive) > now then
  local notes = o .. FS .. 'n'
  call('ZREMRANGEBYLEX', OWN, '[' .. notes .. FS, '(' .. notes .. FS .. ARGV[3] .. ' ')
  local kept = call('HMGET', LEASES, ARGV[1], ARGV[1] .. FS .. 'v')
  local ttl = match(kept[1] or '', '^[^\31]*\31(%d+)\31') or 30000
  call('ZADD', LIVE, now + ttl, o)
  local first = call('ZRANGE', LIVE, 0, 1, 'WITHSCORES')
  local other = first[1] == o and first[4] or first[2]
  if first[1] == o and not first[4] then other = nil end
  local claim = call('ZRANGEBYLEX', LINES, '[1' .. FS, '(1 ', 'LIMIT', 0, 1)[1]
  local ends = claim and sub(claim, 3, 16)
  if ends and (not other or tonumber(ends) < tonumber(other)) then other = ends end
  return {1, tonumber(kept[2] or 0) or 0, call('ZCOUNT', LIVE, '(' .. format('%.0f', now), '+inf'),
    other and tonumber(other) - now or false}
end
local why = call('HGET', IDS, o)
return {0, why and sub(why, 1, 1) == '!' and sub(why, 2) or alive and 'expired' or ''}

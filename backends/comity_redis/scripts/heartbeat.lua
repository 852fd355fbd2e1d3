-- Move a session's deadline on, unless it is over.
-- ARGV  agent id, incarnation, version up to which losses are known; then a lease that it has, if any: request id, name
-- Answers  {1, version, live sessions, ms to the earliest deadline of another session or a claim or false}, then 1 when
--          that lease is gone, and did not end: the server lost it; or {0, reason}
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
--@include _beat.lua
  if ARGV[4] then
    local record = call('HGET', LOCKS, ARGV[5])
    local has = record and find(record, FS .. ARGV[4] .. FS .. o .. FS, 18, true)
      and call('ZSCORE', OWN, o .. FS .. 'q' .. FS .. ARGV[4] .. FS .. ARGV[5])
    if not has and not call('ZSCORE', ENDED, ARGV[4]) then told[5] = 1 end
  end
  return told
end
--@include _gone.lua

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
--@include _beat.lua
  return told
end
--@include _gone.lua

-- Let a write that was not applied yet never be.
-- KEYS  those of the namespace, then published
-- ARGV  request id
-- Answers  {the version it made or 0 when it never will, us}
-- Keeps  X4, X13
--@include _keys.lua
--@include _ended.lua
local id = FS .. ARGV[1]
local before = match(call('HGET', IDS, id) or '', '^!(%d+)$')
if before then return {before, now_us} end
call('ZREM', LIVE, '')
mark(id, WITHDRAWN, '0', KEYS[#KEYS])
return {'0', now_us}

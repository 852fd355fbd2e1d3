-- Take away keys that are past their time.
-- ARGV  how many at most
-- Answers  {how many expired, ms to the next one that will or false}
-- Keeps  K3: exactly once, told by the step that does it
--@include _keys.lua
--@include _events.lua
--@include _counter.lua
--@include _changes.lua
call('ZREM', LIVE, '')
local changes, count = expire(tonumber(ARGV[1]))
tell_changes(changes)
local due = match(call('ZRANGEBYLEX', STATE, '[' .. FS .. 'd', '(' .. FS .. 'e', 'LIMIT', 0, 1)[1] or '', '^\31d(%d+)\31')
return {count, due and tonumber(due) - now or false}

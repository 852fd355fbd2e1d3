-- Take a name from all its holders, and from those of what overlaps it, and hand it on.
-- ARGV  agent id, request id, name, reason
-- Answers  us, then for each holder it was taken from RS mode and name RS text RS ms to its end; a retry is told the same
-- Keeps  L12, X4
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
--@include _once.lua
local id = FS .. ARGV[2]
local before = call('HGET', IDS, id)
if before then return sub(before, 2) end
call('ZREM', LIVE, '')
local name = ARGV[3]
clear({name})
local taken = holders_of({name})
local answer = with_holders({format('%.0f', now_us)}, taken, #taken)
for at = 4, #answer, 3 do answer[at] = format('%.0f', answer[at]) end
answer = table.concat(answer, RS)
for _, h in ipairs(once(taken)) do lose(h, ARGV[4], ARGV[1], name) end
mark(id, RELEASED, answer)
commit()
return answer

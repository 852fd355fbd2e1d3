-- Take a name from all its holders and hand it on.
-- ARGV  agent id, request id, name, reason
-- Answers  {us, holders...}: whom it was taken from; nobody when it is free or this is a retry
-- Keeps  L12, X4
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
if call('ZSCORE', ENDED, ARGV[2]) then return {now_us, 'x'} end
call('ZREM', LIVE, '')
local s = state(ARGV[3])
clear(s)
local answer = with_holders({now_us}, s)
local taken = s.holders
s.holders = {}
for _, h in ipairs(taken) do lose(s, h, ARGV[4], ARGV[1]) end
mark(ARGV[2], RELEASED)
commit()
return answer

-- End a claim with its task done, and trim finished tasks.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, task, token (16 digits), result, most completed tasks of a queue, most age in ms
-- Answers  {'K', 'f', us} or {'X', reason, us} (the claim was lost)
-- Keeps  T3, T5, X4, X13
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
call('ZREM', LIVE, '')
local T = tasks()
local t = T.standing(ARGV[1] .. FS .. ARGV[2], ARGV[3])
if not t or t.id ~= ARGV[4] or t.token ~= ARGV[5] then
  T.commit()
  return T.how_it_ended(ARGV[3], ARGV[4], ARGV[5])
end
T.end_claim(t, RELEASED)
T.finish(t, 'f', ARGV[6])
T.trim_queue(t.queue, tonumber(ARGV[7]), 4)
if now_us % 8 == 0 then T.trim_old(tonumber(ARGV[8]), 16) end
T.commit()
return {'K', 'f', now_us}

-- End a claim without its task being done: it is tried again after a while, or dead.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, task, token (16 digits), error, ms after which it is ready again (-1: never)
-- Answers  {'K', status of the task, us} or {'X', reason, us} (the claim was lost)
-- Keeps  T3, X4, X13
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local wait = tonumber(ARGV[7])
call('ZREM', LIVE, '')
local T = tasks()
local t = T.standing(ARGV[1] .. FS .. ARGV[2], ARGV[3])
if not t or t.id ~= ARGV[4] or t.token ~= ARGV[5] then
  T.commit()
  return T.how_it_ended(ARGV[3], ARGV[4], ARGV[5])
end
local final = wait < 0 or t.attempts >= t.most
local after = final and 'x' or wait > 0 and 'd' or 'r'
T.end_claim(t, RELEASED, after)
t.why = ARGV[6]
if final then
  T.finish(t, 'x')
else
  t.due = wait > 0 and now + wait or 0
  T.enter(t)
end
T.commit()
return {'K', after, now_us}

-- End one session that is past its deadline, and give back claims whose own time is over.
-- Answers  {agent id or false, ms to the earliest deadline left of a session or a claim or false}
-- Keeps  S8: exactly once, with all that it held; T4; mends what a server lost of tasks in part
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
local sid = false
while not sid do
  local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
  if not first[2] or tonumber(first[2]) > now then break end
  sid = match(first[1], '^([^\31]+)\31[^\31]+$') or false
  finish(first[1], 'expired')
end
tasks().tidy()
commit()
return {sid, next_deadline('') or false}

-- End one session that is past its deadline.
-- Answers  {agent id or false, ms to the earliest deadline left or false}
-- Keeps  S8: exactly once, with all that it held
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
commit()
return {sid, next_deadline('') or false}

-- End a session by its own wish.
-- ARGV  agent id, incarnation
-- Answers  1 when this step or an earlier try of it ended the session, else 0
-- Keeps  S7, X4 (a late announce of the incarnation has no effect any more), X13
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
local o = ARGV[1] .. FS .. ARGV[2]
call('ZREM', LIVE, '')
if settled(o) then
  finish(o, 'departed')
  commit()
  return 1
end
local score = call('ZSCORE', ENDED, o)
if score then return tonumber(score) % 1 == RELEASED and 1 or 0 end
mark(o, WITHDRAWN, 'departed')
return 0

-- The one counter of a namespace: fencing tokens, queue numbers and versions of the state, 16 digits each (L2). It is
-- kept beside the names of locks, as the one that is empty, so that a step which grants reads and writes it together
-- with the name's record.
--@include _following.lua
local NEVER = '0000000000000000'

local function token()
  local text = following(call('HGET', LOCKS, ''))
  call('HSET', LOCKS, '', text)
  return text
end

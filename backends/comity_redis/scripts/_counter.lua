-- The one counter of a namespace: fencing tokens, queue numbers and versions of the state, 16 digits each (L2). It is
-- kept beside the names of locks, as the one that is empty, so that a step which grants reads and writes it together
-- with the name's record.
local NEVER = '0000000000000000'

local function token()
  local last = tonumber(call('HGET', LOCKS, '') or 0) or 0
  if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else
  local text = format('%016.0f', math.max(last + 1, now_us))
  call('HSET', LOCKS, '', text)
  return text
end

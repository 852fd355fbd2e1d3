-- A fencing token or a queue number, 16 digits: one counter for both (L2). It is kept beside the names, as
-- the one that is empty, so that a step which grants reads and writes it together with the name's record.
local function token()
  local last = tonumber(call('HGET', LOCKS, '') or 0) or 0
  if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else
  local text = format('%016.0f', math.max(last + 1, now_us))
  call('HSET', LOCKS, '', text)
  return text
end

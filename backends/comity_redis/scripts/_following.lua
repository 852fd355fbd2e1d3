-- The number that follows the last one of a namespace, as text (see _counter.lua).
local function following(last)
  last = tonumber(last or 0) or 0
  if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else
  return format('%016.0f', math.max(last + 1, now_us))
end

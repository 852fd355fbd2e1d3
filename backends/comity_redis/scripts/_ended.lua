-- What is remembered of ids that are over. Apart from _step.lua, which a plain release does not need.

-- How an id ended; kept as the fraction of its time in ENDED.
local WITHDRAWN, RELEASED, TAKEN = 0, 0.25, 0.5

-- Mark `id` (a request, or a session `o`) as over, for at least 90 s (X4). About every eighth mark takes
-- away up to 16 that are too old or too many, so that no step ever has much to clear. What writes data is
-- remembered in a `memory` of its own, where it crowds nothing out.
local function mark(id, how, reason, memory)
  memory = memory or ENDED
  call('ZADD', memory, now + how, id)
  if reason then call('HSET', IDS, id, '!' .. reason) end
  if now_us % 8 > 0 then return end
  local old = call('ZRANGEBYSCORE', memory, '-inf', now - 90000, 'LIMIT', 0, 16)
  if #old == 0 and call('ZCARD', memory) > 200000 then old = call('ZRANGE', memory, 0, 15) end
  if #old > 0 then
    call('ZREM', memory, unpack(old))
    call('HDEL', IDS, unpack(old))
  end
end

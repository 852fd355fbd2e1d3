-- Put a signal into the inbox of every other live session, or of some of them.
-- KEYS  see _signals.lua
-- ARGV  sender's agent id, incarnation, broadcast, type, payload, ttl in ms, most signals in an inbox, '1' when
--       it is for all, else the agent ids
-- Answers  {'B', for each recipient RS, 'd' (delivered) or 'f' (inbox full), agent id} or {'L', reason} (the
--          sender is over)
-- Keeps  G1, G2, X4: the answer is kept as if it was a signal that is over
--@include _signals.lua
--@include _delivery.lua
local sender, id = ARGV[1], ARGV[3]
local before = match(call('HGET', SIGNALS, id) or '', '^b(.*)$')
if before then return {'B', before} end
local why = why_over(sender .. FS .. ARGV[2])
if why then return {'L', why} end

local said, delivered = {'b'}, 0
local function give(to, o)
  if to == sender then return end
  if full(to, tonumber(ARGV[7])) then
    said[#said + 1] = RS .. 'f' .. to
    return
  end
  deliver(id .. '.' .. to, to, o, id, sender, ARGV[4], tonumber(ARGV[6]))
  delivered = delivered + 1
  said[#said + 1] = RS .. 'd' .. to
end

if ARGV[8] == '1' then
  for _, o in ipairs(call('ZRANGEBYSCORE', LIVE, '(' .. format('%.0f', now), '+inf')) do
    local to = match(o, '^([^\31]+)\31[^\31]+$')
    if to then give(to, o) end
  end
else
  for at = 9, #ARGV do
    local inc = match(call('HGET', LEASES, ARGV[at]) or '', '^([^\31]*)\31')
    local o = inc and ARGV[at] .. FS .. inc
    if o and not why_over(o) then give(ARGV[at], o) end
  end
end
if delivered > 0 then
  call('HSET', BODIES, id, ARGV[5], id .. FS, format('%.0f', delivered))
end
local answer = table.concat(said)
call('HSET', SIGNALS, id, answer)
call('ZADD', OVER, now + 3600000, id)
trim(sender, math.min(4 + 2 * delivered, 2000))
return {'B', sub(answer, 2)}

-- Move a cursor forward, topic by topic, never back.
-- KEYS  meta, cursors
-- ARGV  cursor, then for each topic its name, epoch and number, of 20 digits both
-- Answers  the cursor as it is now, as stored
-- Keeps  E5, X4: a retry moves nothing; X7: what cannot be read is left out
local META, CURSORS = unpack(KEYS)
local FS, RS = '\31', '\30'
local before = redis.call('HGET', CURSORS, ARGV[1]) or ''
local places, order = {}, {}

local function reach(topic, place)
  if not places[topic] then
    order[#order + 1] = topic
    places[topic] = place
  elseif places[topic] < place then -- digits, as many in both
    places[topic] = place
  end
end

for part in string.gmatch(before, '[^\30]+') do
  local topic, place = string.match(part, '^([^\31]+)\31(%d+\31%d+)$')
  if topic and #place == 41 then
    reach(topic, place)
  else
    redis.pcall('HINCRBY', META, 'corrupt', 1)
  end
end
for at = 2, #ARGV, 3 do
  reach(ARGV[at], ARGV[at + 1] .. FS .. ARGV[at + 2])
end
for at, topic in ipairs(order) do
  order[at] = topic .. FS .. places[topic]
end
local text = table.concat(order, RS)
if text ~= before then redis.call('HSET', CURSORS, ARGV[1], text) end
return text

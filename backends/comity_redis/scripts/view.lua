-- Read who holds a name, or what overlaps it, and who waits there.
-- ARGV  name
-- Answers  {us, {name, lock record...}, {deadline of each of their sessions...}, {waiting member, deadline...}};
--          texts as stored, deadlines in ms or false, so that nothing is parsed here
-- Keeps  L10, L14, X7: whoever reads these skips and reports what cannot be read
--@include _keys.lua
--@include _overlap.lua
local name = ARGV[1]
local records, ends, queue = records_near(name), {}, {}
for at = 2, #records, 2 do
  for who in string.gmatch(records[at], '\30%d+\31[^\31]*\31([^\31]*\31[^\31]*)\31') do
    ends[#ends + 1] = who
    ends[#ends + 1] = call('ZSCORE', LIVE, who)
  end
end
each_waiting_near(name, function(member)
  local who = match(member, '^[^\31]*\31%d+\31%d+\31[xs]\31[^\31]*\31([^\31]*\31[^\31]*)\31')
  queue[#queue + 1] = member
  queue[#queue + 1] = who and call('ZSCORE', LIVE, who) or false
end)
return {now_us, records, ends, queue}

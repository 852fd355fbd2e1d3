-- Read who holds a name and who waits for it.
-- ARGV  name
-- Answers  {us, lock record or false, {deadline of each of its sessions...}, {waiting member, deadline...}};
--          texts as stored, deadlines in ms or false, so that nothing is parsed here
-- Keeps  L10, X7: whoever reads these skips and reports what cannot be read
--@include _keys.lua
local name = ARGV[1]
local record = call('HGET', LOCKS, name)
local ends, queue = {}, {}
if record then
  for who in string.gmatch(record, '\30%d+\31[^\31]*\31([^\31]*\31[^\31]*)\31') do
    ends[#ends + 1] = who
    ends[#ends + 1] = call('ZSCORE', LIVE, who)
  end
end
for _, member in ipairs(call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ')) do
  local who = match(member, '^[^\31]*\31%d+\31%d+\31[xs]\31[^\31]*\31([^\31]*\31[^\31]*)\31')
  queue[#queue + 1] = member
  queue[#queue + 1] = who and call('ZSCORE', LIVE, who) or false
end
return {now_us, record, ends, queue}

-- Read the facts about a name: who holds it or what overlaps it, and how the sessions asked for and its holders stand.
-- ARGV  name, agent ids
-- Answers  {us, {name, lock record...}, past record, verdicts record, {agent id, record, deadline...}, {waiting member...},
--          {holder, deadline...}}; texts as stored or false, deadlines in ms or false, so that nothing is parsed
--          here; of those who wait only the sessions asked for and the holders'
-- Keeps  C2, C3, X7: whoever reads these skips and reports what cannot be read
--@include _keys.lua
--@include _overlap.lua
local name = ARGV[1]
local records = records_near(name)
local sids, asked, held = {}, {}, {}

local function ask(sid)
  if not asked[sid] then
    asked[sid] = true
    sids[#sids + 1] = sid
  end
end

for at = 2, #ARGV do ask(ARGV[at]) end
for at = 2, #records, 2 do
  for sid, inc in string.gmatch(records[at], '\30%d+\31[^\31]*\31([^\31]*)\31([^\31]*)\31') do
    local o = sid .. FS .. inc
    local ends = call('ZSCORE', LIVE, o)
    held[#held + 1] = o
    held[#held + 1] = ends
    if ends and tonumber(ends) > now then ask(sid) end
  end
end
local parties, queue = {}, {}
for _, sid in ipairs(sids) do
  local record = call('HGET', RECORDS, sid)
  local inc = record and match(record, '^([^\31]*)\31')
  parties[#parties + 1] = sid
  parties[#parties + 1] = record
  parties[#parties + 1] = inc and call('ZSCORE', LIVE, sid .. FS .. inc) or false
end
each_waiting_near(name, function(member)
  local sid = match(member, '^[^\31]*\31%d+\31%d+\31[xs]\31[^\31]*\31([^\31]*)\31')
  if sid and asked[sid] then queue[#queue + 1] = member end
end)
return {now_us, records, call('HGET', PAST, name), call('HGET', VERDICTS, name), parties, queue, held}

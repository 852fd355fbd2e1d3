-- Record a decision about a name if the facts it was made on still hold, and enforce what stands.
-- ARGV  settlement, name, grant counter (16 digits), tokens of the holders (ascending, parted by FS),
--       the request to hand it to: agent id or '', incarnation, request id, mode (x or s), ttl in ms (0: none),
--       most leases, flow;
--       then verdicts: winner's o FS loser's o FS strategy FS reason
-- Answers  {'S', answer, us} or {'C', us, holders...} (changed); answer: token granted to the request (0: none)
--          FS ms left of its own ttl or -1, then RS and a verdict for each pair that has one
-- Keeps  C2, C3, C4, L12 (the queue stays as it is), X4
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
--@include _once.lua
--@include _verdicts.lua
local id, name, take = FS .. ARGV[1], ARGV[2], ARGV[7]
local asker = ARGV[5] .. FS .. ARGV[6]
asking = take
clear({name})
local s = state(name)
local before = call('HGET', IDS, id)
if before then return {'S', sub(before, 2), now_us} end
local counter = counter_of(name)
local standing, by = verdicts_on(name, counter)
local asked = {} -- {winner, loser} of each pair
for at = 12, #ARGV do
  asked[#asked + 1] = {match(ARGV[at], '^([^\31]+\31[^\31]+)\31([^\31]+\31[^\31]+)\31')}
end

local function answer()
  local h = holding(s, take)
  local texts = {h and h.token .. FS .. format('%.0f', h.due > 0 and h.due - now or -1) or '0' .. FS .. '-1'}
  for _, two in ipairs(asked) do
    local v = by[two[1] .. RS .. two[2]]
    if v then texts[#texts + 1] = v.text end
  end
  return table.concat(texts, RS)
end

if holding(s, take) then return {'S', answer(), now_us} end

local function came_again(o)
  local sid, inc = match(o, '^([^\31]+)\31(.*)$')
  local present = lease(sid)
  return present and present ~= inc and lives(sid .. FS .. present)
end

local tokens, there = {}, holders_of({name})
local held = once(there)
for _, h in ipairs(held) do tokens[#tokens + 1] = h.token end
local changed = counter ~= ARGV[3] or table.concat(tokens, FS) ~= ARGV[4]
for _, two in ipairs(asked) do changed = changed or came_again(two[1]) or came_again(two[2]) end
if changed then return with_holders({'C', now_us}, there) end

local new = {}
for at, two in ipairs(asked) do
  local v = not by[two[1] .. RS .. two[2]] and verdict(ARGV[at + 11])
  if v then
    new[#new + 1], standing[#standing + 1] = v, v
    by[v.winner .. RS .. v.loser], by[v.loser .. RS .. v.winner] = v, v
  end
end
if #new > 0 then put_on_record(name, counter, standing, new) end

-- Whether by what stands `o` wins over every session that holds the name.
local function wins(o)
  for _, h in ipairs(held) do
    local v = by[o .. RS .. h.o]
    if not v or v.winner ~= o then return false end
  end
  return #held > 0 and not crowded
end

-- The request that the name is handed to when `o` wins it: one for this name alone; nil when `o` wants it not now.
local function wish(o)
  local w = waiting(take)
  if o == asker and (w or not call('ZSCORE', ENDED, take)) then
    if w or full(o, 1, tonumber(ARGV[10])) then return w end
    return {wants = {{name = name, mode = ARGV[8]}}, gid = take, sid = ARGV[5], o = o, ttl = tonumber(ARGV[9]),
      flow = ARGV[11]}
  end
  local first
  walk(name, function(w)
    if w.o == o and w.kind == '-' then first = whole(w) end
    return first
  end)
  return first
end

for _, two in ipairs(asked) do
  local v = by[two[1] .. RS .. two[2]]
  local w = v and wins(v.winner) and wish(v.winner)
  if w then
    for _, h in ipairs(held) do
      local why = by[w.o .. RS .. h.o]
      lose(h, 'taken over by ' .. w.sid .. ' (' .. why.strategy .. ': ' .. why.reason .. ')', w.sid, name)
    end
    if w.key then hand_over(w, w.wants) else grant(w, w.wants) end
    s.counter, s.dirty = counter, false
    break
  end
end
serve() -- what else of the loser's lease was freed may be the winner's now
for _, v in ipairs(new) do
  local has = '0'
  for _, h in ipairs(holders_of({name})) do
    if h.o == v.winner then has = format('%.0f', tonumber(h.token)) end
  end
  publish('conflict.resolved', ARGV[5], format(
    '{"name":%s,"winner":%s,"loser":%s,"strategy":%s,"reason":%s,"token":%s}', json(name),
    json(match(v.winner, '^[^\31]+')), json(match(v.loser, '^[^\31]+')), json(v.strategy), json(v.reason), has))
end
local text = answer()
mark(id, RELEASED, text)
commit()
return {'S', text, now_us}

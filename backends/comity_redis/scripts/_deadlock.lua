-- Whether one more wait would close a cycle of flows (L13). A flow, the thread or task that asks, is a session and
-- the name it gives; it waits for the flows of whatever its waiting request conflicts with. Included
-- where a request has just queued up, as no other step needs it.

local MOST_EDGES = 1000

-- Nobody waits for a flow that has nothing but this request, with nobody behind it: the usual case. A session that
-- has much is not looked through for that.
local function stands_alone(w)
  if #call('ZRANGEBYLEX', QUEUE, '(' .. w.member, '(' .. w.name .. ' ', 'LIMIT', 0, 1) > 0 then return false end
  local mine = w.o .. FS .. 'q'
  local texts = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 33)
  if #texts > 32 then return false end
  for _, text in ipairs(texts) do
    local gid, name = match(text, '^([^\31]*)\31(.*)$', #mine + 2)
    if gid ~= w.gid then
      local other = waiting(gid) or holding(state(name), gid)
      if other and other.flow == w.flow then return false end
    end
  end
  return true
end

-- Visit what a waiting request conflicts with, from its place forwards to the holders. An exclusive request in line
-- waits for all that is before it, so nothing before it needs to be looked at.
local function in_the_way(w, visit)
  local till = '(' .. w.member
  while true do
    local members = call('ZREVRANGEBYLEX', QUEUE, till, '[' .. w.name .. FS, 'LIMIT', 0, 4)
    for _, member in ipairs(members) do
      local other = waiter(member)
      if other and lives(other.o) and conflicts(w, other) then
        visit(other)
        if other.flow ~= '' and other.mode == 'x' then return end
      end
    end
    if #members < 4 then break end
    till = '(' .. members[4]
  end
  local s = state(w.name)
  for _, h in ipairs(s.holders) do
    if conflicts(w, h) then visit(h) end
  end
end

-- The cycle that waiting request `w` closes, as {agent id, flow, name it waits for...} from its own flow on; nil when
-- it closes none. The search goes flow by flow, so the cycle is one of the shortest.
local function cycle(w)
  if w.flow == '' or stands_alone(w) then return nil end
  local me = w.o .. FS .. w.flow
  local flows, came, edges = {{key = me, o = w.o, flow = w.flow}}, {}, 0
  local at = 1
  while flows[at] and not came[me] do
    local from = flows[at]
    local mine = from.o .. FS .. 'w' .. FS .. from.flow
    for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
      local r = waiting(sub(text, #mine + 2))
      if r then
        in_the_way(r, function(other)
          edges = edges + 1
          local key = other.o .. FS .. other.flow
          if edges > MOST_EDGES or other.flow == '' or came[key] then return end
          came[key] = {from = from, name = r.name}
          if key ~= me then flows[#flows + 1] = {key = key, o = other.o, flow = other.flow} end
        end)
      end
    end
    at = at + 1
  end
  if not came[me] then return nil end
  local links, step = {}, came[me]
  while true do
    local from = step.from
    table.insert(links, 1, step.name)
    table.insert(links, 1, from.flow)
    table.insert(links, 1, match(from.o, '^[^\31]+'))
    if from.key == me then return links end
    step = came[from.key]
  end
end

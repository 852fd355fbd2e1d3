-- Whether one more wait would close a cycle of flows (L13). A flow, the thread or task that asks, is a session and
-- the name it gives; it waits for the flows of whatever its waiting requests conflict with. Included where a
-- request has just queued up, as no other step needs it.

local MOST_EDGES = 1000

-- Nobody waits for a flow that has nothing but this request with nobody behind it: the usual case. A session that
-- has much is not looked through for that.
local function stands_alone(w)
  for _, want in ipairs(w.wants) do
    if find(want.name, '/', 1, true) and not areas().is_alone(want.name) then return false end
    if #call('ZRANGEBYLEX', QUEUE, '(' .. member(w, want), '(' .. want.name .. ' ', 'LIMIT', 0, 1) > 0 then return false end
  end
  local mine = w.o .. FS .. 'q'
  local texts = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, #w.wants + 33)
  if #texts > #w.wants + 32 then return false end
  for _, text in ipairs(texts) do
    local gid, name = match(text, '^([^\31]*)\31(.*)$', #mine + 2)
    if gid ~= w.gid then
      local other = waiting(gid) or holding(state(name), gid)
      if other and other.flow == w.flow then return false end
    end
  end
  return true
end

-- The same for a name with a '/', whose line is that of several names.
local function each_obstacle_around(w, want, visit)
  local line, seen = {}, {}
  areas().walk_around(want.name, function(other)
    if other.key >= w.key then return NEXT end
    if other.gid ~= w.gid and conflicts(want, other) then
      local known = seen[other.gid]
      if not known then
        known = other
        seen[other.gid], line[#line + 1] = other, other
      end
      known.is_before_all = known.is_before_all or (other.mode == 'x' and areas().covers(other.name, want.name))
    end
  end)
  table.sort(line, function(a, b) return a.key > b.key end)
  for _, other in ipairs(line) do
    if waiting(other.gid) and (visit(other) or (other.flow ~= '' and other.is_before_all and other.kind ~= 'o')) then return end
  end
  local known = {}
  for _, h in ipairs(holders_of({want.name})) do
    if conflicts(want, h) and not known[h.token] then
      known[h.token] = true
      if visit(h) then return end
    end
  end
end

-- Visit what keeps a waiting request from `want`, from its place forwards to the holders, until `visit` answers true.
-- One in line that wants the name, or an area around it, for itself waits for all that is before it, so nothing before
-- it needs to be looked at; unless it may get another name.
local function each_obstacle(w, want, visit)
  if find(want.name, '/', 1, true) then return each_obstacle_around(w, want, visit) end
  local till = '(' .. member(w, want)
  while true do
    local members = call('ZREVRANGEBYLEX', QUEUE, till, '[' .. want.name .. FS, 'LIMIT', 0, 4)
    for _, text in ipairs(members) do
      local other = waiter(text)
      if other and other.gid ~= w.gid and lives(other.o) and not unplaced(other) and conflicts(want, other)
        and waiting(other.gid) then
        if visit(other) or (other.flow ~= '' and other.mode == 'x' and other.kind ~= 'o') then return end
      end
    end
    if #members < 4 then break end
    till = '(' .. members[4]
  end
  for _, h in ipairs(state(want.name).holders) do
    if conflicts(want, h) and visit(h) then return end
  end
end

-- The flows that can be reached from that of `w`, in the order in which they are met. Of each, the requests that wait:
-- per request what would do for it, all its names or any one, and of that who is in the way.
local function explore(w)
  local flows, known, edges = {}, {}, 0
  local function meet(r)
    local key = r.o .. FS .. r.flow
    if not known[key] then
      known[key] = {key = key, o = r.o, flow = r.flow, waits = {}}
      flows[#flows + 1] = known[key]
    end
    return known[key]
  end
  meet(w)
  local at = 1
  while flows[at] do
    local from = flows[at]
    local mine = from.o .. FS .. 'w' .. FS .. from.flow
    for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
      local r = waiting(sub(text, #mine + 2))
      if r and unplaced(r) then r = nil end
      local ways, met = {}, {}
      for _, want in ipairs(r and r.wants or {}) do
        local way = r.kind ~= 'o' and ways[1] or {}
        if #ways == 0 or r.kind == 'o' then ways[#ways + 1] = way end
        each_obstacle(r, want, function(other)
          edges = edges + 1
          if other.flow ~= '' then
            way[#way + 1] = {name = want.name, key = other.o .. FS .. other.flow}
            met[#met + 1] = other
          end
          return edges > MOST_EDGES
        end)
      end
      if edges > MOST_EDGES then return flows, known end
      if r then from.waits[#from.waits + 1] = ways end
      for _, other in ipairs(met) do meet(other) end
    end
    at = at + 1
  end
  return flows, known
end

-- Leave of every flow only the requests that wait for ever, if those flows do that are waited for. The farthest go
-- first: in a long line each waits for the one before, and the first of all for nobody.
local function leave_in_vain(flows, known)
  local function blocked(way)
    for _, edge in ipairs(way) do
      if #known[edge.key].waits > 0 then return true end
    end
    return false
  end
  local changed = true
  while changed do
    changed = false
    for nth = #flows, 1, -1 do
      local waits = flows[nth].waits
      for at = #waits, 1, -1 do
        for _, way in ipairs(waits[at]) do
          if not blocked(way) then
            table.remove(waits, at)
            changed = true
            break
          end
        end
      end
    end
  end
end

-- The cycle that waiting request `w` closes, one of the shortest, as {agent id, flow, name it waits for...} from its own
-- flow on; nil when it closes none.
local function cycle(w)
  if w.flow == '' or stands_alone(w) then return nil end
  local flows, known = explore(w)
  leave_in_vain(flows, known)
  local me, came = flows[1], {}
  local reached, at = {me}, 1
  while reached[at] and not came[me] do
    local from = reached[at]
    for _, ways in ipairs(from.waits) do
      for _, way in ipairs(ways) do
        for _, edge in ipairs(way) do
          local flow = known[edge.key]
          if not came[flow] then
            came[flow] = {from = from, name = edge.name}
            reached[#reached + 1] = flow
          end
        end
      end
    end
    at = at + 1
  end
  local links, step = {}, came[me]
  while step do
    table.insert(links, 1, step.name)
    table.insert(links, 1, step.from.flow)
    table.insert(links, 1, match(step.from.o, '^[^\31]+'))
    step = step.from ~= me and came[step.from]
  end
  return links[1] and links or nil
end

-- Whose turn it is, and the hand-off inside every step that frees something.

local MOST_DEAF = 8 -- so many listeners are found gone in a step; all others count as there
local ears, deaf_ears = {}, 0

-- Whether nobody can wake a request, as far as is known: its process was killed.
local function deaf(w)
  if w.gid == asking or w.ear == '' then return false end
  if ears[w.ear] == nil then
    ears[w.ear] = deaf_ears < MOST_DEAF and not listens(w.ear)
    if ears[w.ear] then deaf_ears = deaf_ears + 1 end
  end
  return ears[w.ear]
end

-- Whether request `a` goes before `b`: by their places, or, `in_turn`, with the deaf behind all others (L6).
local function ahead(a, b, in_turn)
  if in_turn and deaf(a) ~= deaf(b) then return deaf(b) end
  return a.key < b.key
end

-- Whether a holder, or a request before it, keeps request `w` from `want`.
local function barred(w, want, in_turn)
  local s, wide = state(want.name), find(want.name, '/', 1, true)
  if s.holders[1] and conflicts(want, s.holders[1]) then return true end -- all holders of a name have one mode
  if wide and areas().held_against(want) then return true end
  local found = false
  local look = wide and areas().walk_around or walk
  look(want.name, function(other)
    if other.gid ~= w.gid and ahead(other, w, in_turn) then
      found = conflicts(want, other)
      return found
    end
    return other.key > w.key and not (in_turn and deaf(w)) and NEXT -- all further ones there stand behind it
  end)
  return found
end

-- What can be granted of request `w` now (L5): all it wants, or the first that is free where any will do; else nil.
local function room(w, in_turn)
  if #w.wants > 1 then states(wanted(w)) end
  for _, want in ipairs(w.wants) do
    local stuck = barred(w, want, in_turn)
    if w.kind == 'o' then
      if not stuck then return {want} end
    elseif stuck then
      return nil
    end
  end
  return w.kind ~= 'o' and w.wants or nil
end

-- Make a request the holder of `wants`; returns it as it stands at the first of them.
local function grant(w, wants)
  local tok, first, mine = token(), nil, {}
  local ends = deadline(w.o)
  for _, want in ipairs(wants) do
    local h = {name = want.name, mode = want.mode, token = tok, gid = w.gid, sid = w.sid, o = w.o,
      since = format('%.0f', now), due = w.ttl > 0 and now + w.ttl or 0, renewal = 0, flow = w.flow}
    rewrite(h)
    h.ends = (h.due > 0 and h.due < ends) and h.due or ends
    local s = state(want.name)
    s.mode, s.counter, s.unsaved = h.mode, tok, true
    s.holders[#s.holders + 1] = h
    mine[#mine + 1], mine[#mine + 2] = 0, h.o .. FS .. 'q' .. FS .. h.gid .. FS .. h.name
    if find(h.name, '/', 1, true) then mine[#mine + 1], mine[#mine + 2] = 0, FS .. h.mode .. FS .. h.name end
    first = first or h
  end
  call('ZADD', OWN, unpack(mine))
  return first
end

-- Who stood behind a request at the names of a pool that it did not get may go now; where the record tells of an
-- exclusive lease, that changes nothing.
local function let_through(w, got)
  local list = wanted(w)
  local records = call('HMGET', LOCKS, unpack(list))
  for at, name in ipairs(list) do
    if name ~= got and (names[name] or sub(records[at] or '', 1, 1) ~= 'x') then
      local s = state(name, records[at])
      local held = #s.holders + #s.lapsed > 0
      if not held or s.mode == 's' then s.dirty, s.unsaved = true, s.unsaved or not held end
    end
  end
end

-- Grant a waiting request; its wake-up says all that its process needs to know. False for a place that was nobody's.
local function hand_over(w, wants)
  if not leave(w) then return false end
  local h = grant(w, wants)
  if w.kind == 'o' then let_through(w, h.name) end
  if w.gid == asking then return true end
  count(LEASES, w.sid .. FS .. 'v')
  call('PUBLISH', PREFIX .. (w.ear ~= '' and 'l:' .. w.ear or 's:' .. w.o),
    table.concat({'g', h.name, w.gid, h.token, format('%.0f', w.ttl), format('%.0f', now_us)}, FS))
  return true
end

-- Add those of the queue of `name` to `line` whose turn it may be now that something there was freed: the readers that
-- stand first, and the first writer, which holds up all behind it.
local function next_in_line(name, line)
  local s = state(name)
  if s.mode == 'x' and #s.holders > 0 then return end
  local late, writer = {}, false
  local function add(w)
    line[#line + 1] = w
    writer = w.mode == 'x'
    return writer
  end
  walk(name, function(w)
    if not deaf(w) then return add(w) end
    late[#late + 1] = w
  end)
  for _, w in ipairs(late) do
    if writer or add(w) then return end
  end
end

-- Grant every waiting request that can be granted now that something was freed, in order (L5).
local function serve()
  while true do
    local freed, line, wide = {}, {}, false
    for _, s in ipairs(order) do
      if s.dirty then
        s.dirty = false
        freed[#freed + 1] = s
        wide = wide or find(s.name, '/', 1, true)
      end
    end
    if #freed == 0 then return end
    if wide then
      for _, name in ipairs(areas().waited_for(freed)) do next_in_line(name, line) end
    else
      for _, s in ipairs(freed) do next_in_line(s.name, line) end
    end
    if #line > 1 then table.sort(line, function(a, b) return ahead(a, b, true) end) end
    local done = {}
    for _, each in ipairs(line) do
      local w = not done[each.gid] and whole(each)
      done[each.gid] = each.kind ~= 'o' -- of a pool, each name that was freed is looked at
      local wants = w and (each.kind ~= 'o' or not barred(w, each, true)) and room(w, true)
      if wants then
        local is_granted = hand_over(w, wants)
        if not is_granted or (w.kind == 'o' and #line > 1) then -- others may go now that stand before the rest
          for _, s in ipairs(freed) do s.dirty = true end
          break
        end
      end
    end
  end
end

-- Hand on every name that was freed, then write all that changed. Last in every step that changes locks.
local function commit()
  serve()
  for _, s in ipairs(order) do
    if s.unsaved then save(s) end
  end
  if tasks_made then tasks_made.commit() end
end

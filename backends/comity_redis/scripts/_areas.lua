-- What a step needs about a name with a '/' (L14): made when the first such name is met, as most steps meet none, and
-- making functions is what costs. A name that ends in '/', an area, covers all that begin with it.
local areas_made

areas = function()
  if areas_made then return areas_made end
--@include _near.lua

  -- The states of the areas above a name.
  local roofs = {}
  local function roof(name)
    roofs[name] = roofs[name] or states(above(name))
    return roofs[name]
  end

  local function overlap(a, b) return covers(a, b) or covers(b, a) end

  -- The states of these names, of the areas above them, and of what is held below them, the first 256 in each mode.
  local function around(list)
    local near, known = {}, {}
    local function add(name)
      if not known[name] then
        known[name] = true
        near[#near + 1] = name
      end
    end
    for _, name in ipairs(list) do
      add(name)
      for _, area in ipairs(above(name)) do add(area) end
      for mode in string.gmatch(is_area(name) and 'xs' or '', '.') do
        local count = 0
        each_below(name, mode, function(found)
          count = count + #found
          for _, each in ipairs(found) do add(each) end
          crowded = crowded or count > MOST_BELOW
          return count > MOST_BELOW
        end)
      end
    end
    return states(near)
  end

  -- Whether a holder above `want`, or below it, keeps others from it; looks no further than to the first.
  local function held_against(want)
    local found = false
    local function look(s)
      found = s.holders[1] and conflicts(want, s.holders[1])
      return found
    end
    for _, s in ipairs(roof(want.name)) do
      if look(s) then return true end
    end
    if not is_area(want.name) then return false end
    for mode in string.gmatch(want.mode == 'x' and 'xs' or 'x', '.') do
      each_below(want.name, mode, function(below)
        for _, s in ipairs(states(below)) do
          if #s.holders + #s.lapsed == 0 then s.unsaved = true end -- what led here is out of date
          if look(s) then return true end
        end
      end)
      if found then return true end
    end
    return false
  end

  -- Walk the queues of all that overlaps `name`, one after another; in each until `visit` answers NEXT, in all until true.
  local function walk_around(name, visit)
    local over = false
    local function look(w)
      local answer = visit(w)
      over = answer and answer ~= NEXT
      return answer
    end
    walk(name, look)
    for _, s in ipairs(roof(name)) do
      if over then return end
      if s.there then walk(s.name, look) end
    end
    if is_area(name) and not over then walk(name, look, after(name)) end
  end

  -- Whether no area above `name` is held or waited for, and it is none itself: its line is its own.
  local function is_alone(name)
    if is_area(name) then return false end
    for _, s in ipairs(roof(name)) do
      if s.there then return false end
    end
    return true
  end

  -- The names that may be waited for and that overlap one of those that were freed.
  local function waited_for(freed)
    local list, known, wide = {}, {}, {}
    for _, s in ipairs(freed) do
      known[s.name] = true
      list[#list + 1] = s.name
    end
    for _, s in ipairs(freed) do
      for _, area in ipairs(above(s.name)) do
        if not known[area] then
          known[area] = true
          wide[#wide + 1] = area
        end
      end
    end
    for _, s in ipairs(states(wide)) do
      if s.there then list[#list + 1] = s.name end
    end
    for _, s in ipairs(freed) do
      local from, till = '[' .. s.name .. ' ', '(' .. after(s.name)
      while is_area(s.name) do
        local text = call('ZRANGEBYLEX', QUEUE, from, till, 'LIMIT', 0, 1)[1]
        if not text then break end
        local name = match(text, '^[^\31]*')
        if not known[name] then
          known[name] = true
          list[#list + 1] = name
        end
        from = '[' .. name .. ' '
      end
    end
    return list
  end

  areas_made = {above = above, around = around, covers = covers, held_against = held_against, is_alone = is_alone,
    is_area = is_area, overlap = overlap, waited_for = waited_for, walk_around = walk_around}
  return areas_made
end

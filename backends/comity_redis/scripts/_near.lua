-- Where to look for what overlaps a name (L14): a name that ends in '/', an area, covers all that begin with it.
-- Needs _keys.lua only; for steps that read as well as those that change.

local function is_area(name) return sub(name, -1) == '/' end

-- Whether who has `area` has `name`: it is the same, or lies below.
local function covers(area, name)
  return area == name or (is_area(area) and sub(name, 1, #area) == area)
end

-- The areas that cover a name, but for itself, the widest first.
local function above(name)
  local list = {}
  for at in string.gmatch(name, '()/') do
    if at < #name then list[#list + 1] = sub(name, 1, at) end
  end
  return list
end

-- The end of the range of all that begins with an area, in byte order.
local function after(area) return sub(area, 1, -2) .. '0' end -- which follows '/'

-- The entry by which a name below some area is found while it is held in this mode.
local function listed(mode, name) return FS .. mode .. FS .. name end

-- Visit the names below an area that are on record as held in this mode, so many at a time, until `visit` answers true.
local function each_below(area, mode, visit)
  local from, till = '(' .. listed(mode, area), '(' .. listed(mode, after(area))
  while true do
    local found = call('ZRANGEBYLEX', OWN, from, till, 'LIMIT', 0, 64)
    local last = found[64]
    for at, text in ipairs(found) do found[at] = sub(text, 4) end
    if #found > 0 and visit(found) or not last then return end
    from = '(' .. last
  end
end

-- What is on record about a name and all that overlaps it (L14), for steps that only read: texts as stored.
--@include _near.lua

-- Names and their lock records in turn: the areas above, the name itself, what is held below; without those that
-- have no record.
local function records_near(name)
  local near, found = above(name), {}
  near[#near + 1] = name
  for mode in string.gmatch(is_area(name) and 'xs' or '', '.') do
    each_below(name, mode, function(below)
      for _, each in ipairs(below) do near[#near + 1] = each end
    end)
  end
  for from = 1, #near, 1000 do
    local records = call('HMGET', LOCKS, unpack(near, from, math.min(from + 999, #near)))
    for at, record in ipairs(records) do
      if record then found[#found + 1], found[#found + 2] = near[from + at - 1], record end
    end
  end
  return found
end

-- Visit the waiting requests at a name and at all that overlaps it, as they stand in the queue of each.
local function each_waiting_near(name, visit)
  local function look(from, till)
    for _, member in ipairs(call('ZRANGEBYLEX', QUEUE, from, till)) do visit(member) end
  end
  for _, area in ipairs(above(name)) do look('[' .. area .. FS, '(' .. area .. ' ') end
  look('[' .. name .. FS, is_area(name) and '(' .. after(name) or '(' .. name .. ' ')
end

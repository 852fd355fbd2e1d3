-- Of holders in order, one of each lease.
local function once(found)
  local list = {}
  for _, h in ipairs(found) do
    if not list[1] or list[#list].token ~= h.token then list[#list + 1] = h end
  end
  return list
end

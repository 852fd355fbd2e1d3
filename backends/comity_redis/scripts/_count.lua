-- Count up a field of a hash. Where somebody left nonsense in it, it begins anew at the second of the clock: later than
-- it can have come by counting, and within ten digits.
local function count(key, field)
  local number = redis.pcall('HINCRBY', key, field, 1)
  if type(number) == 'table' then
    number = math.floor(now / 1000)
    call('HSET', key, field, format('%.0f', number))
  end
  return number
end

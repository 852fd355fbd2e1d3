-- Delete keys of the namespace.
-- KEYS  any keys of it
-- Answers  how many records were in them
local records = 0
local count = {zset = 'ZCARD', hash = 'HLEN', stream = 'XLEN', list = 'LLEN', set = 'SCARD'}
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' then records = records + (count[kind] and redis.call(count[kind], key) or 1) end
end
for from = 1, #KEYS, 1000 do
  redis.call('UNLINK', unpack(KEYS, from, math.min(from + 999, #KEYS)))
end
return records

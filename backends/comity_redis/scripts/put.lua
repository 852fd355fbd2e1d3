-- Store a value under a key.
-- KEYS  those of the namespace, then published
-- ARGV  as _write.lua has it, then ttl in ms (0: none), ephemeral (1 or 0), most ephemeral keys of a session, value
-- Answers  as _write.lua has it, or {'M'} (limit)
-- Keeps  K1, K4, X4
--@include _write.lua
local ttl, owner = tonumber(ARGV[10]), ARGV[11] == '1' and o or ''
local mine = o .. FS .. 'e'
if owner ~= '' and not (h and h.owner == o)
  and call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') >= tonumber(ARGV[12]) then
  return {'M'}
end
if h and not there and h.version ~= NEVER then
  changes[1] = take_over(key, h)
  h = head(key)
end
local version = token()
if h then clear_away(key, h) end
local due = ttl > 0 and now + ttl or 0
local ends = format('%.0f', due)
call('HSET', HEADS, key, table.concat({version, ends, fence, owner}, FS))
call('ZADD', STATE, 0, table.concat({key, version, format('%.0f', now), ends, ARGV[1],
  owner ~= '' and owner or FS, ARGV[13]}, FS))
if due > 0 then call('ZADD', STATE, 0, appointment('d', due, key)) end
if owner ~= '' then call('ZADD', OWN, 0, mine .. FS .. key) end
if not untold(key) then
  changes[#changes + 1] = {'state.put', ARGV[1], table.concat({'{"key":', json(key), format(',"version":%.0f', tonumber(version)),
    ',"value":', ARGV[13], ',"ttl_ms":', ttl > 0 and ARGV[10] or 'null', ',"owner":', owner ~= '' and json(ARGV[1]) or '""', '}'})}
end
--@include _written.lua

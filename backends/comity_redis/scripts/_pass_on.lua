-- Make the first in line the holder, and wake it: its wake-up says all that its process needs to know.
if call('ZREM', OWN, found, heir.o .. FS .. 'w' .. FS .. heir.flow .. FS .. heir.gid) < 2 then -- the server lost them
  call('ZADD', OWN, 0, heir.o .. FS .. 'q' .. FS .. heir.gid .. FS .. name)
end
call('ZREM', QUEUE, line[1])
call('HDEL', IDS, heir.gid)
if entry and heir.mode ~= sub(record, 1, 1) then
  call('ZREM', OWN, entry)
  call('ZADD', OWN, 0, FS .. heir.mode .. FS .. name)
end
local number = following(last)
call('HSET', LOCKS, '', number, name, table.concat({heir.mode .. number .. RS .. number, heir.gid, heir.o,
  format('%.0f', now), heir.ttl > 0 and format('%.0f', now + heir.ttl) or '0', '0', heir.flow}, FS))
count(LEASES, heir.sid .. FS .. 'v')
call('PUBLISH', sub(EVENTS, 1, -9) .. (heir.ear ~= '' and 'l:' .. heir.ear or 's:' .. heir.o),
  table.concat({'g', name, heir.gid, number, format('%.0f', heir.ttl), format('%.0f', now_us)}, FS))

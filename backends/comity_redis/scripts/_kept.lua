-- What is `kept` of a session `o` that lives: its lease and version. It is `lost` when the server has not all of it: another
-- could take its id, or nobody can see it.
local kept = call('HMGET', LEASES, ARGV[1], ARGV[1] .. FS .. 'v')
lost = not kept[1] or (match(kept[1], '^([^\31]*)\31') or ARGV[2]) ~= ARGV[2] or call('HEXISTS', RECORDS, ARGV[1]) == 0

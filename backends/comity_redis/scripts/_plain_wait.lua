-- The usual case of a request that has to wait: one lease has the name, which bars it, nobody has or waits for an area
-- above it, and its session has and waits for nothing else, so that nobody waits for it in turn (L13). All live, and
-- have their places. It stands in line behind all others.
local holds, raw = match(there[1], '^([xs])%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d\30([^\30]+)$')
local its, who, due = match(raw or '', '^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d\31([^\31]*)\31([^\31]*\31[^\31]*)\31%d+\31(%d+)\31%d+\31[^\31]*$')
local ends = who and (mode == 'x' or holds == 'x') and tonumber(call('ZSCORE', LIVE, who) or nil)
if ends and due ~= '0' and tonumber(due) < ends then ends = tonumber(due) end
if ends and ends > now and tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
  and call('ZSCORE', OWN, who .. FS .. 'q' .. FS .. its .. FS .. name)
  and #call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 1) == 0
  and #call('ZRANGEBYLEX', QUEUE, '[' .. FS, '[' .. FS .. format('%016.0f', now) .. ' ', 'LIMIT', 0, 1) == 0 then
  local number = following(there[2])
  local request = table.concat({name, ARGV[6], number, mode, gid, o, format('%.0f', ttl), format('%.0f', now), '0',
    ARGV[10], ARGV[11], '-'}, FS)
  if #call('ZRANGEBYLEX', QUEUE, '[' .. request, '(' .. name .. ' ', 'LIMIT', 0, 1) == 0 then
    call('ZADD', QUEUE, 0, request)
    call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. name, 0, o .. FS .. 'w' .. FS .. ARGV[11] .. FS .. gid)
    call('HSET', IDS, gid, request)
    call('HSET', LOCKS, '', number)
    local place = call('ZLEXCOUNT', QUEUE, '[' .. name .. FS, '[' .. request)
    return {'Q', place, ends - now, now_us, holds .. name, raw, ends - now}
  end
end

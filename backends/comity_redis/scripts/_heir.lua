-- The first in line, if it is plain that it is its turn: it waits by all records, lives, is heard, and wants the name for
-- itself, or is the only one of those that stand first who does not.
local mode, g, sid, inc, ttl, ear, flow = match(sub(line[1], #name + 2),
  '^%d%d%d%d%d\31%d+\31([xs])\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31%d+\0310\31([^\31]*)\31([^\31]*)\31%-$')
local second = line[2] and match(sub(line[2], #name + 2), '^%d%d%d%d%d\31%d+\31([xs])\31')
if mode and (mode == 'x' or not line[2] or second == 'x') then
  local lives = call('ZSCORE', LIVE, sid .. FS .. inc)
  if lives and tonumber(lives) > now and call('HGET', IDS, g) == line[1]
    and (ear == '' or call('PUBSUB', 'NUMSUB', sub(EVENTS, 1, -9) .. 'l:' .. ear)[2] > 0) then
    heir = {mode = mode, gid = g, sid = sid, o = sid .. FS .. inc, ttl = tonumber(ttl), ear = ear, flow = flow}
  end
end

-- Free exactly one grant and hand its name on.
-- ARGV  agent id, incarnation, request id
-- Answers  {1 when this step or an earlier try of it freed the grant, else 0; us}
-- Keeps  L4, L5, X4, X13: its first write only removes, so a full server takes it and all that follows
--@include _keys.lua
--@include _ended.lua
local gid = ARGV[3]
local o = ARGV[1] .. FS .. ARGV[2]
local mine = o .. FS .. 'q' .. FS .. gid
local alive = call('ZSCORE', LIVE, o)
local found = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 1)[1]
local name = found and sub(found, #mine + 2)

-- The common case: it is held, and nobody waits.
if name and alive and tonumber(alive) > now then
  local record = call('HGET', LOCKS, name)
  local grant = FS .. gid .. FS .. o .. FS
  local at = record and find(record, grant, 18, true)
  if at and sub(record, at - 17, at - 17) == RS then
    local due = match(record, '^%d+\31(%d+)\31', at + #grant)
    local alone = at == 35 and not find(record, RS, at, true)
    if due and (due == '0' or tonumber(due) > now)
      and (alone or (tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
        and not find(record .. RS, '\31[1-9]%d*\31%d+\31[^\31\30]*\30')))
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ', 'LIMIT', 0, 1) == 0 then
      local before, after = sub(record, 1, at - 18), sub(record, find(record, RS, at, true) or #record + 1)
      call('ZREM', OWN, found)
      if alone then
        call('HDEL', LOCKS, name)
      else
        call('HSET', LOCKS, name, before .. after)
      end
      remember(name, sub(record, 2, 17), sub(record, at - 16, at - 1), o)
      mark(gid, RELEASED)
      return {1, now_us}
    end
  end
end
--@include _step.lua
call('ZREM', LIVE, '')
local ok = 0
if settled(o) and name then
  local s = state(name)
  s.asking = gid
  clear(s)
  local h, at = holding(s, gid)
  local w = waiting(gid)
  if h then
    free(s, at, RELEASED)
    ok = 1
  elseif w then
    leave(w)
    s.dirty = true
  end
  call('ZREM', OWN, found)
end
local score = call('ZSCORE', ENDED, gid)
if score then
  ok = tonumber(score) % 1 == RELEASED and 1 or 0
else
  mark(gid, WITHDRAWN)
end
commit()
return {ok, now_us}

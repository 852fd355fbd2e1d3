-- Free exactly one grant and hand its names on.
-- ARGV  agent id, incarnation, request id, the name as the caller remembers it if it is only one, or '', and 1 to tell
--       the session's processes of it (else no more)
-- Answers  {1 when this step or an earlier try of it freed the grant, else 0; us}
-- Keeps  L4, L5, X4, X13: its first write only removes, so a full server takes it and all that follows
--@include _keys.lua
--@include _ended.lua
local gid = ARGV[3]
local o = ARGV[1] .. FS .. ARGV[2]
local mine = o .. FS .. 'q' .. FS .. gid
local alive = call('ZSCORE', LIVE, o)
local name = ARGV[4]
local found = mine .. FS .. name
if name == '' then
  found = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 2)
  name = found[1] and not found[2] and sub(found[1], #mine + 2)
  found = found[1]
end

-- The common case: it is held, by this one alone or among readers that are all there, and nobody waits;
-- and what is left of it, the past claim, is the session's first on a name or takes the place of an earlier one.
if name and alive and tonumber(alive) > now and not ARGV[5] then
  local is_within, record, is_beneath = find(name, '/', 1, true), nil, false
  if is_within then -- nobody may wait for an area above it, nor for anything below
    local near = {name}
    for at in string.gmatch(name, '()/') do
      if at < #name then near[#near + 1] = sub(name, 1, at) end
    end
    near = call('HMGET', LOCKS, unpack(near))
    record = near[1]
    for at = 2, #near do is_beneath = is_beneath or near[at] end
    is_beneath = is_beneath or (sub(name, -1) == '/'
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name, '(' .. sub(name, 1, -2) .. '0', 'LIMIT', 0, 1) > 0)
  else
    record = call('HGET', LOCKS, name)
  end
  local grant = FS .. gid .. FS .. o .. FS
  local at = record and not is_beneath and find(record, grant, 18, true)
  if at and sub(record, at - 17, at - 17) == RS then
    local due = match(record, '^%d+\31(%d+)\31', at + #grant)
    local alone = at == 35 and not find(record, RS, at, true)
    local past = call('HGET', PAST, name)
    local claim = past and find(past, FS .. o .. RS, 18, true)
    if due and (due == '0' or tonumber(due) > now)
      and (alone or (tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
        and not find(record .. RS, '\31[1-9]%d*\31%d+\31[^\31\30]*\30')))
      and (claim or (not past and call('ZLEXCOUNT', OWN, '[' .. o .. FS .. 'p', '(' .. o .. FS .. 'q') < 1000))
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ', 'LIMIT', 0, 1) == 0 then
      if is_within and alone then
        call('ZREM', OWN, found, FS .. sub(record, 1, 1) .. FS .. name)
      else
        call('ZREM', OWN, found)
      end
      if alone then
        call('HDEL', LOCKS, name)
      else
        local till = find(record, RS, at, true) or #record + 1
        call('HSET', LOCKS, name, sub(record, 1, at - 18) .. sub(record, till))
      end
      local counter, token = sub(record, 2, 17), sub(record, at - 16, at - 1)
      if claim then
        local before = sub(past, claim - 33, claim - 18)
        if before > token then token = before end
        call('HSET', PAST, name, counter .. sub(past, 17, claim - 34) .. token .. sub(past, claim - 17))
      else
        call('HSET', PAST, name, counter .. RS .. token .. FS .. token .. FS .. o .. RS)
        call('ZADD', OWN, 0, o .. FS .. 'p' .. FS .. token .. FS .. name)
      end
      mark(gid, RELEASED)
      return {1, now_us}
    end
  end
end
--@include _step.lua
asking = gid
call('ZREM', LIVE, '')
local ok = 0
if settled(o) then
  clear(names_of(o, gid))
  local h, w = grant_of(o, gid), waiting(gid)
  if w and w.o ~= o then w = nil end -- another's: nothing is touched
  if h then
    free(h, RELEASED)
    ok = 1
  elseif w then
    give_up(w)
  end
  if ARGV[5] and (h or w) then
    count(LEASES, ARGV[1] .. FS .. 'v')
    tell(o, 'n')
  end
end
local score = call('ZSCORE', ENDED, gid)
if score then
  ok = tonumber(score) % 1 == RELEASED and 1 or 0
else
  mark(gid, WITHDRAWN)
end
commit()
return {ok, now_us}

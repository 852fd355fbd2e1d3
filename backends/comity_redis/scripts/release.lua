-- Free exactly one grant and hand its names on.
-- ARGV  agent id, incarnation, request id, the name as the caller remembers it if it is only one, or '', and 1 to tell
--       the session's processes of it (else no more)
-- Answers  us; below 0 when neither this step nor an earlier try of it freed the grant
-- Keeps  L4, L5, X4, X13: its first write only removes, so a full server takes it and all that follows
--@include _keys.lua
--@include _ended.lua
--@include _following.lua
--@include _count.lua
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

-- The common case: it is held, by this one alone or among readers that are all there, and nobody waits, or of those who
-- wait for a lease that one has alone the first is there and is all that has its turn;
-- and what is left of it, the past claim, is the session's first on a name or takes the place of an earlier one.
if name and alive and tonumber(alive) > now and not ARGV[5] then
  local is_within, record, is_beneath, last = find(name, '/', 1, true), nil, false, nil
  if is_within then -- nobody may have or wait for an area above it, nor wait for anything below
    local near = {name, ''}
    for at in string.gmatch(name, '()/') do
      if at < #name then near[#near + 1] = sub(name, 1, at) end
    end
    near = call('HMGET', LOCKS, unpack(near))
    record, last = near[1], near[2]
    for at = 3, #near do is_beneath = is_beneath or near[at] end
    is_beneath = is_beneath or (sub(name, -1) == '/'
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name, '(' .. sub(name, 1, -2) .. '0', 'LIMIT', 0, 1) > 0)
  else
    local there = call('HMGET', LOCKS, name, '')
    record, last = there[1], there[2]
  end
  local grant = FS .. gid .. FS .. o .. FS
  local at = record and not is_beneath and find(record, grant, 18, true)
  if at and sub(record, at - 17, at - 17) == RS then
    local due = match(record, '^%d+\31(%d+)\31', at + #grant)
    local alone = at == 35 and not find(record, RS, at, true)
    local past = call('HGET', PAST, name)
    local claim = past and find(past, FS .. o .. RS, 18, true)
    local plain = due and (due == '0' or tonumber(due) > now)
      and (alone or (tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
        and not find(record .. RS, '\31[1-9]%d*\31%d+\31[^\31\30]*\30')))
      and (claim or (not past and (call('ZCARD', OWN) < 1000
        or call('ZLEXCOUNT', OWN, '[' .. o .. FS .. 'p', '(' .. o .. FS .. 'q') < 1000)))
    local line, heir = plain and call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ', 'LIMIT', 0, 2), nil
    if plain and line[1] then
--@include _heir.lua
      plain = alone and heir
    end
    if plain then
      local entry = is_within and alone and FS .. sub(record, 1, 1) .. FS .. name -- see `listed` in _near.lua
      if heir then
--@include _pass_on.lua
      elseif entry then
        call('ZREM', OWN, found, entry)
      else
        call('ZREM', OWN, found)
      end
      if not heir and alone then
        call('HDEL', LOCKS, name)
      elseif not heir then
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
      return now_us
    end
  end
end
--@include _step.lua
asking = gid
call('ZREM', LIVE, '')
local ok = false
if settled(o) then
  clear(names_of(o, gid))
  local h, w = grant_of(o, gid), waiting(gid)
  if w and w.o ~= o then w = nil end -- another's: nothing is touched
  if h then
    free(h, RELEASED)
    ok = true
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
  ok = tonumber(score) % 1 == RELEASED
else
  mark(gid, WITHDRAWN)
end
commit()
return ok and now_us or -now_us

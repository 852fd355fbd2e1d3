-- Names and who holds them.

local names, order = {}, {} -- states by name, and in the order they were met
local asking = nil -- the request that asks in this step: it is awake, and its answer tells it all
local deadlines = {} -- of sessions: 0 once over for this step, false when there is no such session

local areas -- see _areas.lua
local MOST_BELOW = 256 -- so many names below an area are looked at in each mode, where all are not needed
local crowded = false -- whether there were more

-- The one rule of who excludes whom. Holders and what requests want have `name` and `mode` ('x' or 's').
local function conflicts(a, b)
  return not (a.mode == 's' and b.mode == 's') and (a.name == b.name or areas().overlap(a.name, b.name))
end

local function corrupt()
  redis.pcall('HINCRBY', META, 'corrupt', 1)
end

local function deadline(o)
  local known = deadlines[o]
  if known == nil then
    known = tonumber(call('ZSCORE', LIVE, o) or nil) or false
    deadlines[o] = known
  end
  return known
end

local function lives(o)
  local at = deadline(o)
  return at and at > now
end

local function holder(name, mode, raw)
  local tok, gid, sid, inc, since, due, renewal, flow =
    match(raw, '^(%d+)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)$')
  if not tok or #tok ~= 16 then return nil end
  return {name = name, mode = mode, raw = raw, token = tok, gid = gid, sid = sid, o = sid .. FS .. inc,
    since = since, due = tonumber(due), renewal = tonumber(renewal), flow = flow}
end

-- Write the holder's text anew after a change.
local function rewrite(h)
  h.raw = table.concat({h.token, h.gid, h.o, h.since, format('%.0f', h.due), format('%.0f', h.renewal), h.flow}, FS)
end

-- Part the holders that are over from the others, and set when these end. They stay on record, in `lapsed`,
-- until a step that is about this name tells their sessions, or ends them. What its session's list does not have, is over:
-- the server lost it, and with it what leads to the lease from an area above.
local function prune(s)
  local kept = {}
  for _, h in ipairs(s.holders) do
    local ends = deadline(h.o)
    if not ends then -- of a session that is gone without a trace
      s.unsaved = true
    elseif ends <= now or (h.due > 0 and h.due <= now) then
      s.lapsed[#s.lapsed + 1] = h
    elseif not call('ZSCORE', OWN, h.o .. FS .. 'q' .. FS .. h.gid .. FS .. s.name) then
      h.is_lost = true
      s.lapsed[#s.lapsed + 1] = h
    else
      h.ends = (h.due > 0 and h.due < ends) and h.due or ends
      kept[#kept + 1] = h
    end
  end
  s.holders = kept
end

-- What is known of a name. `record` is its text where that was read already, false for none.
local function state(name, record)
  local s = names[name]
  if s then return s end
  s = {name = name, counter = NEVER, holders = {}, lapsed = {}, dirty = false, unsaved = false}
  if record == nil then record = call('HGET', LOCKS, name) end
  s.there = record and true -- somebody holds it or waits for it
  if record then
    local mode, counter, rest = match(record, '^([xs-])(%d+)\30(.*)$') -- '-': waited for, and held by nobody
    if mode and #counter == 16 then
      s.mode, s.counter, s.waited = mode, counter, mode == '-'
      for raw in string.gmatch(rest, '[^\30]+') do
        local h = holder(name, mode, raw)
        if h then s.holders[#s.holders + 1] = h else s.bad = true end
      end
    else
      s.bad = true
    end
    s.dirty = s.bad or (#s.holders == 0 and not s.waited)
    s.unsaved = s.dirty
    prune(s)
  end
  names[name], order[#order + 1] = s, s
  return s
end

-- The states of several names, read in one go.
local function states(list)
  local unread, found = {}, {}
  for _, name in ipairs(list) do
    if not names[name] then unread[#unread + 1] = name end
  end
  for from = 1, #unread, 1000 do
    local records = call('HMGET', LOCKS, unpack(unread, from, math.min(from + 999, #unread)))
    for at, record in ipairs(records) do state(unread[from + at - 1], record) end
  end
  for at, name in ipairs(list) do found[at] = names[name] end
  return found
end

-- The states of all that overlaps these names (L14).
local function around(list)
  for _, name in ipairs(list) do
    if find(name, '/', 1, true) then return areas().around(list) end
  end
  return states(list)
end

local function holding(s, gid, among)
  for at, h in ipairs(among or s.holders) do
    if h.gid == gid then return h, at end
  end
end

-- The entries of a request in its session's list: one for each name, in byte order.
local function entries(o, gid)
  local mine = o .. FS .. 'q' .. FS .. gid
  return call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' '), #mine + 2
end

-- The lease of a request, by its first name; nil when it holds nothing. It may be over.
local function grant_of(o, gid)
  local found, from = entries(o, gid)
  -- The entry of one that waits for any of several names no name: what stands under '' is the counter.
  if not found[1] or #found[1] < from then return nil end
  local s = state(sub(found[1], from))
  return holding(s, gid) or holding(s, gid, s.lapsed)
end

-- Take a lease out of all its names, which `commit` hands on; returns them.
local function take_out(h)
  local found, from = entries(h.o, h.gid)
  if #found > 0 then call('ZREM', OWN, unpack(found)) end
  for at, text in ipairs(found) do found[at] = sub(text, from) end
  if #found == 0 then found[1] = h.name end
  for _, s in ipairs(states(found)) do
    for _, list in ipairs({s.holders, s.lapsed}) do
      local _, at = holding(s, h.gid, list)
      if at then table.remove(list, at) end
    end
    s.dirty, s.unsaved = true, true
    remember(s.name, s.counter, h.token, h.o)
  end
  return found
end

-- The lease ends by its holder's own doing.
local function free(h, how)
  take_out(h)
  mark(h.gid, how)
end

-- The lease is taken from its holder, who is told (L8), for `name`: the first of its names where that is nil.
local function lose(h, reason, by, name)
  local found, several = take_out(h), ''
  name = name or found[1]
  mark(h.gid, TAKEN, reason)
  local version = count(LEASES, h.sid .. FS .. 'v')
  local notes = h.o .. FS .. 'n'
  call('ZADD', OWN, 0, table.concat({notes, format('%010.0f', version), h.gid, h.token, name, reason}, FS))
  if call('ZLEXCOUNT', OWN, '[' .. notes .. FS, '(' .. notes .. ' ') > 1000 then
    call('ZREM', OWN, unpack(call('ZRANGEBYLEX', OWN, '[' .. notes .. FS, '(' .. notes .. ' ', 'LIMIT', 0, 1)))
  end
  if #found > 1 or found[1] ~= name then
    for at, each in ipairs(found) do found[at] = json(each) end
    several = ',"names":[' .. table.concat(found, ',') .. ']'
  end
  publish('lock.lost', by, format('{"name":%s,"agent_id":%s,"token":%.0f,"reason":%s,"by":%s%s}',
    json(name), json(h.sid), tonumber(h.token), json(reason), json(by), several))
  tell(h.o, table.concat({'l', name, h.gid, h.token, reason}, FS))
end

local function save(s)
  s.unsaved = false
  if s.name == '' then return end -- what stands there is the counter
  if s.bad then corrupt() end
  s.bad = false
  local held = #s.holders + #s.lapsed > 0
  if find(s.name, '/', 1, true) then
    local other = FS .. (s.mode == 'x' and 's' or 'x') .. FS .. s.name
    call('ZREM', OWN, other, held and other or FS .. (s.mode == 'x' and 'x' or 's') .. FS .. s.name)
  end
  if held then
    local texts = {s.mode .. s.counter}
    for _, h in ipairs(s.lapsed) do texts[#texts + 1] = h.raw end
    for _, h in ipairs(s.holders) do texts[#texts + 1] = h.raw end
    call('HSET', LOCKS, s.name, table.concat(texts, RS))
    return
  end
  local past = call('HGET', PAST, s.name)
  if #call('ZRANGEBYLEX', QUEUE, '[' .. s.name .. FS, '(' .. s.name .. ' ', 'LIMIT', 0, 1) > 0 then
    local counter = s.counter
    if counter == NEVER then
      counter = match(past or call('HGET', VERDICTS, s.name) or '', '^(%d+)\30') or NEVER
    end
    call('HSET', LOCKS, s.name, '-' .. counter .. RS)
    return
  end
  call('HDEL', LOCKS, s.name)
  if s.counter == NEVER then return end
  if not past then
    outdate(s.name, s.counter)
  elseif sub(past, 1, 16) ~= s.counter then
    call('HSET', PAST, s.name, s.counter .. sub(past, 17))
  end
end

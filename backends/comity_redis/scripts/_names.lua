-- Names and who holds them.
--@include _token.lua

local names, order = {}, {} -- states by name, and in the order they were met
local asking = nil -- the request that asks in this step: it is awake, and its answer tells it all
local deadlines = {} -- of sessions: 0 once over for this step, false when there is no such session

-- The one rule of who excludes whom. Requests and holders have `name` and `mode` ('x' or 's').
local function conflicts(a, b)
  return a.name == b.name and not (a.mode == 's' and b.mode == 's')
end

local function corrupt()
  call('HINCRBY', META, 'corrupt', 1)
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
-- until a step that is about this name tells their sessions, or ends them.
local function prune(s)
  local kept = {}
  for _, h in ipairs(s.holders) do
    local ends = deadline(h.o)
    if not ends then -- of a session that is gone without a trace
      s.unsaved = true
    elseif ends <= now or (h.due > 0 and h.due <= now) then
      s.lapsed[#s.lapsed + 1] = h
    else
      h.ends = (h.due > 0 and h.due < ends) and h.due or ends
      kept[#kept + 1] = h
    end
  end
  s.holders = kept
end

local function state(name)
  local s = names[name]
  if s then return s end
  s = {name = name, counter = NEVER, holders = {}, lapsed = {}, dirty = false, unsaved = false}
  local record = call('HGET', LOCKS, name)
  if record then
    local mode, counter, rest = match(record, '^([xs])(%d+)\30(.*)$')
    if mode and #counter == 16 then
      s.mode, s.counter = mode, counter
      for raw in string.gmatch(rest, '[^\30]+') do
        local h = holder(name, mode, raw)
        if h then s.holders[#s.holders + 1] = h else s.bad = true end
      end
    else
      s.bad = true
    end
    s.dirty = s.bad or #s.holders == 0
    prune(s)
  end
  names[name], order[#order + 1] = s, s
  return s
end

local function holding(s, gid, among)
  for at, h in ipairs(among or s.holders) do
    if h.gid == gid then return h, at end
  end
end

local function entry(h)
  return h.o .. FS .. 'q' .. FS .. h.gid .. FS .. h.name
end

-- The grant ends by its holder's own doing; the name is handed on by `commit`.
local function free(s, at, how)
  local h = table.remove(s.holders, at)
  s.dirty = true
  call('ZREM', OWN, entry(h))
  remember(s.name, s.counter, h.token, h.o)
  mark(h.gid, how)
end

-- The grant was taken from its holder, who is told (L8); the caller takes it out of `holders`.
local function lose(s, h, reason, by)
  s.dirty = true
  call('ZREM', OWN, entry(h))
  remember(s.name, s.counter, h.token, h.o)
  mark(h.gid, TAKEN, reason)
  local version = call('HINCRBY', LEASES, h.sid .. FS .. 'v', 1)
  local notes = h.o .. FS .. 'n'
  call('ZADD', OWN, 0, table.concat({notes, format('%010.0f', version), h.gid, h.token, s.name, reason}, FS))
  if call('ZLEXCOUNT', OWN, '[' .. notes .. FS, '(' .. notes .. ' ') > 1000 then
    call('ZREM', OWN, unpack(call('ZRANGEBYLEX', OWN, '[' .. notes .. FS, '(' .. notes .. ' ', 'LIMIT', 0, 1)))
  end
  publish('lock.lost', by, format('{"name":%s,"agent_id":%s,"token":%.0f,"reason":%s,"by":%s}',
    json(s.name), json(h.sid), tonumber(h.token), json(reason), json(by)))
  tell(h.o, table.concat({'l', s.name, h.gid, h.token, reason}, FS))
end

local function save(s)
  s.unsaved = false
  if s.bad then corrupt() end
  s.bad = false
  if #s.holders + #s.lapsed > 0 then
    local texts = {s.mode .. s.counter}
    for _, h in ipairs(s.lapsed) do texts[#texts + 1] = h.raw end
    for _, h in ipairs(s.holders) do texts[#texts + 1] = h.raw end
    call('HSET', LOCKS, s.name, table.concat(texts, RS))
    return
  end
  call('HDEL', LOCKS, s.name)
  local past = call('HGET', PAST, s.name)
  if not past then
    if s.counter ~= NEVER then outdate(s.name, s.counter) end
  elseif s.counter ~= NEVER and sub(past, 1, 16) ~= s.counter then
    call('HSET', PAST, s.name, s.counter .. sub(past, 17))
  end
end

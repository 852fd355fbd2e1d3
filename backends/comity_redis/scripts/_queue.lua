-- Waiting requests. All names share one sorted set in byte order, so that a name's queue is one range
-- of it: larger priority first, then the order of arrival.

local function waiter(member)
  local name, rank, seq, mode, gid, sid, inc, ttl, since, ear, flow = match(member,
    '^([^\31]*)\31(%d+)\31(%d+)\31([xs])\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)$')
  if not name then return nil end
  return {member = member, name = name, rank = rank, seq = seq, mode = mode, gid = gid, sid = sid,
    o = sid .. FS .. inc, ttl = tonumber(ttl), since = since, ear = ear, flow = flow}
end

local function waiting(gid)
  local text = call('HGET', IDS, gid)
  return text and waiter(text) or nil
end

local function join(w)
  w.member = table.concat({w.name, w.rank, w.seq, w.mode, w.gid, w.o, format('%.0f', w.ttl), w.since, w.ear, w.flow}, FS)
  call('ZADD', QUEUE, 0, w.member)
  call('HSET', IDS, w.gid, w.member)
  call('ZADD', OWN, 0, w.o .. FS .. 'q' .. FS .. w.gid .. FS .. w.name, 0, w.o .. FS .. 'w' .. FS .. w.flow .. FS .. w.gid)
end

-- Take a request out of the queue; what it holds up is looked at by `commit`.
local function leave(w)
  call('ZREM', QUEUE, w.member)
  call('HDEL', IDS, w.gid)
  call('ZREM', OWN, w.o .. FS .. 'w' .. FS .. w.flow .. FS .. w.gid)
end

-- Walk the queue of `name` over the waiters that live, in order, until `visit` answers true. What cannot be
-- read or belongs to nobody is taken out.
local function walk(name, visit)
  local from, till = '[' .. name .. FS, '(' .. name .. ' '
  while true do
    local members = call('ZRANGEBYLEX', QUEUE, from, till, 'LIMIT', 0, 16)
    for _, member in ipairs(members) do
      local w = waiter(member)
      if not w then
        corrupt()
        call('ZREM', QUEUE, member)
      elseif lives(w.o) then
        if visit(w) then return end
      elseif not deadline(w.o) then
        leave(w)
      end
    end
    if #members < 16 then return end
    from = '(' .. members[#members]
  end
end

-- Make the request (waiting or new) a holder.
local function grant(s, w, tok)
  local h = {name = s.name, mode = w.mode, token = tok, gid = w.gid, sid = w.sid, o = w.o, since = format('%.0f', now),
    due = w.ttl > 0 and now + w.ttl or 0, renewal = 0, flow = w.flow}
  rewrite(h)
  local ends = deadline(h.o)
  h.ends = (h.due > 0 and h.due < ends) and h.due or ends
  s.mode, s.counter, s.unsaved = w.mode, tok, true
  s.holders[#s.holders + 1] = h
  return h
end

-- Grant a waiting request; its wake-up says all that its process needs to know.
local function hand_over(s, w)
  local tok = token()
  leave(w)
  grant(s, w, tok)
  if w.gid == asking then return end
  call('HINCRBY', LEASES, w.sid .. FS .. 'v', 1)
  call('PUBLISH', PREFIX .. (w.ear ~= '' and 'l:' .. w.ear or 's:' .. w.o),
    table.concat({'g', s.name, w.gid, tok, format('%.0f', w.ttl), format('%.0f', now_us)}, FS))
end

-- The waiting request whose turn it is: the first whose process listens, if one of the first eight does,
-- else the first (L6). The others keep their places.
local function foremost(s)
  local first, listening
  local seen = 0
  walk(s.name, function(w)
    first = first or w
    seen = seen + 1
    if w.gid == asking or listens(w.ear) then listening = w end
    return listening or seen == 8
  end)
  return listening or first
end

-- Grant every waiting request that can be granted, in order (L5): as one that conflicts with a holder
-- holds up all behind it, only the foremost needs to be looked at. All holders of a name have one mode,
-- so the first speaks for them.
local function serve(s)
  while #s.holders == 0 or s.mode == 's' do
    local w = foremost(s)
    if not w or (s.holders[1] and conflicts(w, s.holders[1])) then return end
    hand_over(s, w)
  end
end

-- Hand on every name that was freed, then write all that changed. Last in every step that changes locks.
local function commit()
  local again = true
  while again do
    again = false
    local at = 1
    while at <= #order do
      local s = order[at]
      if s.dirty then
        s.dirty, s.unsaved, again = false, true, true
        serve(s)
      end
      at = at + 1
    end
  end
  for _, s in ipairs(order) do
    if s.unsaved then save(s) end
  end
  if tasks_made then tasks_made.commit() end
end

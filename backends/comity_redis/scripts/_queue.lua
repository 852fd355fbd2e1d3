-- Waiting requests. All names share one sorted set in byte order, so that a name's queue is one range
-- of it: larger priority first, then the order of arrival. A request of several names stands in each of their queues.

-- Read a request: as it stands in the queue of one name, or as a whole, with the names parted by RS and as many modes.
-- `kind` is '-' for one name, 'a' for all of several, 'o' for one of several. Requests with a smaller `key` go first.
local function waiter(text)
  local name, rank, seq, mode, rest, gid, sid, inc, ttl, since, till, ear, flow, kind = match(text,
    '^([^\31]*)\31(%d+)\31(%d+)\31([xs]+)\31(([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)\31([-ao]))$')
  if not name then return nil end
  return {name = name, rank = rank, seq = seq, key = rank .. seq, mode = mode, rest = rest, gid = gid, sid = sid,
    o = sid .. FS .. inc, ttl = tonumber(ttl), since = since, till = tonumber(till), ear = ear, flow = flow, kind = kind}
end

-- Whether it has lost its place: it has not asked for too long, though its session lives.
local function unplaced(w)
  return w.till > 0 and w.till <= now
end

-- Set what a whole request wants; nil when it is not of as many modes as names.
local function with_wants(w)
  w.wants = {}
  for name in string.gmatch(w.name, '[^\30]+') do
    local at = #w.wants + 1
    w.wants[at] = {name = name, mode = sub(w.mode, at, at)}
  end
  return #w.wants > 0 and #w.wants == #w.mode and w or nil
end

-- The request of this id that waits, as a whole; nil when none does.
local function waiting(gid)
  local text = call('HGET', IDS, gid)
  local w = text and waiter(text)
  return w and with_wants(w) or nil
end

-- The whole of a request that was met in a queue; nil when it cannot be read.
local function whole(w)
  if w.wants then return w end
  return w.kind == '-' and with_wants(w) or waiting(w.gid)
end

local function wanted(w)
  local list = {}
  for at, want in ipairs(w.wants) do list[at] = want.name end
  return list
end

local function member(w, want)
  return table.concat({want.name, w.rank, w.seq, want.mode, w.rest}, FS)
end

-- When a request that keeps its place for some time only will lose it: these stand before all names, by that time.
local function appointment(w)
  return FS .. format('%016.0f', w.till) .. FS .. w.gid
end

-- Take a request out of the lines in which it still stands although the server has lost what was known of it.
local function forget_places(gid, list)
  for _, name in ipairs(list) do
    local from, till = '[' .. name .. FS, '(' .. name .. ' '
    while from do
      local members = call('ZRANGEBYLEX', QUEUE, from, till, 'LIMIT', 0, 64)
      for _, text in ipairs(members) do
        local other = waiter(text)
        if other and other.gid == gid then call('ZREM', QUEUE, text) end
      end
      from = members[64] and '(' .. members[64]
    end
  end
end

local function join(w)
  w.key = w.rank .. w.seq
  w.rest = table.concat({w.gid, w.o, format('%.0f', w.ttl), w.since, format('%.0f', w.till), w.ear, w.flow, w.kind}, FS)
  local members, mine = {}, {0, w.o .. FS .. 'w' .. FS .. w.flow .. FS .. w.gid}
  for _, want in ipairs(w.wants) do
    members[#members + 1], members[#members + 2] = 0, member(w, want)
    if w.kind ~= 'o' then mine[#mine + 1], mine[#mine + 2] = 0, w.o .. FS .. 'q' .. FS .. w.gid .. FS .. want.name end
    local s = state(want.name)
    s.there, s.unsaved = true, s.unsaved or #s.holders + #s.lapsed == 0
  end
  if w.kind == 'o' then mine[#mine + 1], mine[#mine + 2] = 0, w.o .. FS .. 'q' .. FS .. w.gid .. FS end
  if w.till > 0 then members[#members + 1], members[#members + 2] = 0, appointment(w) end
  if call('ZADD', OWN, unpack(mine)) < #mine / 2 then forget_places(w.gid, wanted(w)) end
  call('ZADD', QUEUE, unpack(members))
  call('HSET', IDS, w.gid, table.concat({w.name, w.rank, w.seq, w.mode, w.rest}, FS))
end

-- Whether the server still has all places of a request, and what leads to them.
local function in_line(w)
  for _, want in ipairs(w.wants) do
    if not call('ZSCORE', QUEUE, member(w, want)) then return false end
  end
  return #entries(w.o, w.gid) > 0
end

-- Take a request out of the line; false when it was none, only a place that stayed of one that is held by now, or over.
local function leave(w)
  local members = {}
  for at, want in ipairs(w.wants) do members[at] = member(w, want) end
  if w.till > 0 then members[#members + 1] = appointment(w) end
  call('ZREM', QUEUE, unpack(members))
  if call('HDEL', IDS, w.gid) == 0 and (grant_of(w.o, w.gid) or call('ZSCORE', ENDED, w.gid)) then return false end
  local mine = entries(w.o, w.gid)
  mine[#mine + 1] = w.o .. FS .. 'w' .. FS .. w.flow .. FS .. w.gid
  call('ZREM', OWN, unpack(mine))
  return true
end

-- The same for one that gives up, or is over: what it held up is looked at by `commit`.
local function give_up(w)
  leave(w)
  for _, want in ipairs(w.wants) do
    local s = state(want.name)
    s.dirty, s.unsaved = true, true
  end
end

-- The same for one of which the server has lost what was known.
local function give_up_lost(o, gid, list)
  local mine = entries(o, gid)
  if #mine == 0 then return end
  call('ZREM', OWN, unpack(mine))
  forget_places(gid, list)
  for _, s in ipairs(states(list)) do s.dirty, s.unsaved = true, true end
end

-- The same for one that has lost its place.
local function drop(w)
  give_up(w)
  mark(w.gid, TAKEN, 'its process was not heard of, and lost its place in line')
end

local all_in_place = false -- whether `clear` found that no place was lost

local NEXT = {} -- answered to go on with the next name

-- Walk the queue of `name` over the requests that live and have their places, in order, until `visit` answers; or with
-- `after`, the queues of all names from it to there, in each until it answers NEXT. What cannot be read or
-- belongs to nobody is taken out.
local function walk(name, visit, after)
  local from, till = '[' .. name .. (after and ' ' or FS), '(' .. (after or name .. ' ')
  while true do
    local members, left = call('ZRANGEBYLEX', QUEUE, from, till, 'LIMIT', 0, 16), nil
    for _, text in ipairs(members) do
      local w = waiter(text)
      if not w then
        corrupt()
        call('ZREM', QUEUE, text)
      elseif lives(w.o) then
        local answer = not unplaced(w) and visit(w)
        if after and answer == NEXT then
          left = w.name
          break
        end
        if answer then return end
      elseif not deadline(w.o) then
        call('ZREM', QUEUE, text)
        w = whole(w)
        if w then give_up(w) end
      end
    end
    if left then
      from = '[' .. left .. ' '
    elseif #members < 16 then
      return
    else
      from = '(' .. members[#members]
    end
  end
end

-- The names that a request holds or waits for; none when it does neither.
local function names_of(o, gid)
  local found, from = entries(o, gid)
  for at, text in ipairs(found) do found[at] = sub(text, from) end
  if found[1] ~= '' then return found end
  local w = waiting(gid) -- one that will have any of several
  return w and wanted(w) or {}
end

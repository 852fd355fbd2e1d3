-- Claims that wait, in line for each of their queues, and who is woken when. Part of `tasks`.
-- In LINES: w FS queue FS number FS request FS o FS ear. In OWN: o FS c FS request FS number FS ear FS queue.

local prefix = sub(EVENTS, 1, -9)

local function claimant(member)
  local queue, seq, gid, o, ear = match(member, '^w\31([^\31]*)\31(%d+)\31([^\31]*)\31([^\31]*\31[^\31]*)\31([^\31]*)$')
  return queue and {member = member, queue = queue, seq = seq, gid = gid, o = o, ear = ear}
end

local function listens(c)
  return c.ear == '' or call('PUBSUB', 'NUMSUB', prefix .. 'l:' .. c.ear)[2] > 0
end

-- Tell a claimant to ask again; false when nobody hears it.
local function wake(c)
  return call('PUBLISH', prefix .. (c.ear ~= '' and 'l:' .. c.ear or 's:' .. c.o), 't' .. FS .. c.gid) > 0 or c.ear == ''
end

local function first_of(queue)
  return call('ZRANGEBYLEX', LINES, '[w' .. FS .. queue .. FS, '(w' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1]
end

-- Take a claim out of one line; `entry` is what its session's own list says after the kind.
function T.out_of_line(o, entry)
  local gid, seq, ear, queue = match(entry, '^([^\31]*)\31(%d+)\31([^\31]*)\31(.*)$')
  if not gid then return T.garbled() end
  local member = table.concat({'w', queue, seq, gid, o, ear}, FS)
  if first_of(queue) == member then unwatched[queue] = true end
  call('ZREM', LINES, member)
end

-- Take a claim out of all its lines; false when it stands in none.
function T.leave(o, gid)
  local mine = o .. FS .. 'c' .. FS
  local there = call('ZRANGEBYLEX', OWN, '[' .. mine .. gid .. FS, '(' .. mine .. gid .. ' ')
  for _, text in ipairs(there) do
    T.out_of_line(o, sub(text, #mine + 1))
    call('ZREM', OWN, text)
  end
  return #there > 0, there[1] and match(there[1], '^%d+', #mine + #gid + 2)
end

-- Put a claim into the lines of its queues; one that is there keeps its places.
function T.join(o, gid, ear, queues)
  local mine = o .. FS .. 'c' .. FS .. gid
  local there = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 1)[1]
  if there and match(there, '^%d+\31([^\31]*)\31', #mine + 2) == ear then return end
  local _, seq = T.leave(o, gid)
  seq = seq or token()
  for _, queue in ipairs(queues) do
    call('ZADD', OWN, 0, table.concat({mine, seq, ear, queue}, FS))
    call('ZADD', LINES, 0, table.concat({'w', queue, seq, gid, o, ear}, FS))
  end
end

-- Milliseconds until a delayed task of the queue comes due, or any claim's own time is over; nil without any.
local function next_due(queue)
  local delayed = call('ZRANGEBYLEX', LINES, '[d' .. FS .. queue .. FS, '(d' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1]
  local running = call('ZRANGEBYLEX', LINES, '[1' .. FS, '(1 ', 'LIMIT', 0, 1)[1]
  local at = delayed and tonumber(sub(delayed, #queue + 4, #queue + 17))
  local ends = running and tonumber(sub(running, 3, 16))
  if ends and (not at or ends < at) then at = ends end
  return at and at - now
end

-- The first in line that listens, nil when none of the first eight does.
local function next_in_line(queue)
  for _, member in ipairs(call('ZRANGEBYLEX', LINES, '[w' .. FS .. queue .. FS, '(w' .. FS .. queue .. ' ', 'LIMIT', 0, 8)) do
    local c = claimant(member)
    if c and listens(c) then return c end
  end
end

-- When the first in a line should ask again because something comes due; -1 when this one need not.
function T.retry_ms(gid, queues)
  local soonest
  for _, queue in ipairs(queues) do
    local first = next_in_line(queue)
    local left = (not first or first.gid == gid) and next_due(queue)
    if left and (not soonest or left < soonest) then soonest = left end
  end
  return soonest or -1
end

-- Wake the first that listens, and take it out of the line together with the deaf ones before it.
local function wake_one(queue)
  for _ = 1, 64 do
    local member = first_of(queue)
    if not member then return end
    local c = claimant(member)
    if not c then
      T.garbled()
      call('ZREM', LINES, member)
    else
      if not T.leave(c.o, c.gid) then call('ZREM', LINES, member) end
      if wake(c) then return end
    end
  end
end

-- One task fewer of those made ready in this queue needs somebody to be woken.
function T.taken(queue)
  for at, other in ipairs(fresh) do
    if other == queue then return table.remove(fresh, at) end
  end
end

-- Wake one claimant of the queue if a task is ready there: an earlier wake-up may have come to nothing.
function T.pass_on(queue)
  if call('ZRANGEBYLEX', LINES, '[r' .. FS .. queue .. FS, '(r' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1] then
    fresh[#fresh + 1] = queue
  end
end

-- Have the first in line look at the time: it may not know of what comes due.
function T.watch(queue)
  unwatched[queue] = true
end

-- Tell those that depend on what ended, wake one that waits for each task made ready, and write the counts.
-- Last in every step that changes tasks.
function T.commit()
  T.inform()
  for _, queue in ipairs(fresh) do wake_one(queue) end
  for queue in pairs(unwatched) do
    local first = next_in_line(queue)
    if first and next_due(queue) then wake(first) end
  end
  for field, c in pairs(counts) do
    for at = 1, 8 do c[at] = math.max(0, c[at]) end
    local queue = sub(field, 2, 2) == 'q'
    if c[1] + c[2] + c[3] + c[4] + c[5] + c[KEPT] == 0 then
      call('HDEL', TASKS, field)
      if queue then call('ZREM', LINES, 'q' .. sub(field, 3)) end
    else
      call('HSET', TASKS, field, format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f', unpack(c)))
      if queue and c.new then
        call('ZADD', LINES, 0, 'q' .. sub(field, 3))
        T.mark()
      end
    end
  end
  counts, fresh, unwatched = {}, {}, {}
end

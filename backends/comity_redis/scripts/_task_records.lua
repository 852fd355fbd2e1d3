-- A task's record, its place in a line by its status, and the counts of its queue and its batch.
-- Status: r ready, d delayed, b blocked, c claimed, f finished (done), x dead. Part of `tasks`.

local PLACES = {r = 1, d = 2, b = 3, c = 4, x = 5, f = 6}
local DONE, KEPT, DURATION = 6, 7, 8
local counts = {} -- by field
local fresh, unwatched = {}, {} -- the queue of each task made ready; queues whose first claimant should look at the time

function T.garbled()
  redis.pcall('HINCRBY', META, 'corrupt', 1)
end

-- The task with this id, nil when there is none that can be read.
function T.read(id)
  local text = call('HGET', TASKS, id)
  if not text then return nil end
  local status, queue, batch, key, rank, seq, most, pushed, by, attempts, since, due, ends, tok, gid, sid, inc, number,
    duration, why = match(text, '^([rdbcfx])\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31([ah][^\31]*)\31(%d+)'
    .. '\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31([^\31]*)$')
  if not status then
    T.garbled()
    return nil
  end
  return {id = id, status = status, queue = queue, batch = batch, key = key, rank = rank, seq = seq,
    most = tonumber(most), pushed = pushed, by = by, attempts = tonumber(attempts), since = since, due = tonumber(due),
    ends = tonumber(ends), token = tok, gid = gid, sid = sid, inc = inc, number = number,
    duration = tonumber(duration), why = why}
end

function T.text(t)
  return table.concat({t.status, t.queue, t.batch, t.key, t.rank, t.seq, format('%.0f', t.most), t.pushed, t.by,
    format('%.0f', t.attempts), t.since, format('%.0f', t.due), format('%.0f', t.ends), t.token, t.gid, t.sid, t.inc,
    t.number, format('%.0f', t.duration), t.why}, FS)
end

local function place(t)
  local status, tail = t.status, FS .. t.id
  if status == 'r' then return 'r' .. FS .. t.queue .. FS .. t.rank .. FS .. t.seq .. tail end
  if status == 'd' then return 'd' .. FS .. t.queue .. FS .. format('%014.0f', t.due) .. FS .. t.seq .. tail end
  if status == 'b' then return 'b' .. FS .. t.queue .. FS .. t.seq .. tail end
  if status == 'c' then return 'c' .. FS .. t.queue .. FS .. t.token .. tail end
  return status .. FS .. t.queue .. FS .. t.number .. tail
end

local function count(field)
  local c = counts[field]
  if not c then
    c = {match(call('HGET', TASKS, field) or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')}
    c.new = not c[1]
    for at = 1, 8 do c[at] = tonumber(c[at] or 0) end
    counts[field] = c
  end
  return c
end

-- Add to one of the counts of the task's queue and batch.
function T.add(t, at, more)
  local c = count(FS .. 'q' .. FS .. t.queue)
  c[at] = c[at] + more
  if t.batch ~= '' then
    c = count(FS .. 'b' .. FS .. t.batch)
    c[at] = c[at] + more
  end
end

-- Give the task another status, and write it.
function T.move(t, status)
  if t.status ~= '' then
    call('ZREM', LINES, place(t))
    T.add(t, PLACES[t.status], -1)
  end
  t.status, t.since = status, format('%.0f', now)
  T.add(t, PLACES[status], 1)
  call('HSET', TASKS, t.id, T.text(t))
  call('ZADD', LINES, 0, place(t))
end

-- Let a task be claimed once what it depends on is done and its delay is over.
function T.enter(t, blocked)
  if blocked then
    T.move(t, 'b')
  elseif t.due > now then
    T.move(t, 'd')
    local first = call('ZRANGEBYLEX', LINES, '[d' .. FS .. t.queue .. FS, '(d' .. FS .. t.queue .. ' ', 'LIMIT', 0, 1)[1]
    if first == place(t) then unwatched[t.queue] = true end
  else
    T.move(t, 'r')
    fresh[#fresh + 1] = t.queue
  end
end

-- The claim on a task is over; what becomes of the task is the caller's to write.
function T.end_claim(t, how, reason)
  local o = t.sid .. FS .. t.inc
  call('ZREM', OWN, o .. FS .. 't' .. FS .. t.gid .. FS .. t.id)
  if t.ends > 0 then call('ZREM', LINES, '1' .. FS .. format('%014.0f', t.ends) .. FS .. t.id) end
  mark(t.gid, how, reason)
  t.gid, t.ends = '', 0
end

-- The task that request `gid` of session `o` has claimed, nil when it has none. A session past its deadline has none.
function T.claimed(o, gid)
  local mine = o .. FS .. 't' .. FS .. gid
  local found = call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ', 'LIMIT', 0, 1)[1]
  local t = found and T.read(sub(found, #mine + 2))
  if t and t.status == 'c' and t.gid == gid and t.sid .. FS .. t.inc == o then return t end
end

-- What `T.claimed` says, if the claim stands; one whose own time is over goes back.
function T.standing(o, gid)
  local alive = call('ZSCORE', LIVE, o)
  local t = alive and tonumber(alive) > now and T.claimed(o, gid)
  if t and t.ends > 0 and t.ends <= now then
    T.give_back(t, 'its max_runtime is over')
    return nil
  end
  return t
end

-- How a claim ended that does not stand: the answer of the step that wants to end it.
function T.how_it_ended(gid, id, tok)
  local score = call('ZSCORE', ENDED, gid)
  local text = score and call('HGET', IDS, gid)
  local reason = text and sub(text, 1, 1) == '!' and sub(text, 2) or ''
  if score and tonumber(score) % 1 == RELEASED then return {'K', reason ~= '' and reason or 'f', now_us} end
  if score then return {'X', reason ~= '' and reason or 'it was given back', now_us} end
  local t = T.read(id)
  if t and t.token == tok and t.status == 'f' then return {'K', 'f', now_us} end
  return {'X', t and t.token == tok and t.status == 'c' and 'its session ended (expired)' or 'it is not known', now_us}
end

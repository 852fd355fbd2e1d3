-- How tasks end: done, dead, given back; whom that concerns; what is trimmed. Part of `tasks`.

local ended = {} -- {id, f done, x dead or r removed} of those that ended in this step

-- Number the end and store it. A stream that does not take the next number is begun anew, under a new epoch.
local function record_end(t, result)
  local function append(number)
    return redis.pcall('XADD', FINISHED, format('%.0f-0', number), 'i', t.id, 'q', t.queue, 'b', t.batch,
      's', t.status, 'n', format('%.0f', t.attempts), 'd', format('%.0f', t.duration), 'a', format('%.0f', now),
      'e', t.status == 'x' and t.why or '', 'r', result)
  end
  local epoch, number = match(call('HGET', TASKS, FS .. 'n') or '', '^(%d+)\31(%d+)$')
  if epoch then
    number = tonumber(number) + 1
    local answer = append(number)
    if type(answer) == 'table' and answer.err then epoch = nil end
  end
  if not epoch then
    call('DEL', FINISHED)
    epoch, number = format('%.0f', now_us), 1
    append(number)
  end
  call('HSET', TASKS, FS .. 'n', epoch .. FS .. format('%.0f', number))
  return format('%016.0f', number)
end

local function free_key(t)
  local field = FS .. 'k' .. FS .. t.queue .. FS .. t.key
  if t.key ~= '' and call('HGET', TASKS, field) == t.id then call('HDEL', TASKS, field) end
end

-- The task is done (f) or dead (x).
function T.finish(t, status, result)
  local before = t.status
  if before == 'c' then t.duration = math.max(0, now - tonumber(t.since)) end
  call('ZREM', LINES, place(t))
  T.add(t, PLACES[before], -1)
  t.status, t.since = status, format('%.0f', now)
  if status == 'f' then t.why = '' end
  t.number = record_end(t, result or '')
  T.add(t, PLACES[status], 1)
  if status == 'f' then
    T.add(t, KEPT, 1)
    T.add(t, DURATION, t.duration)
  end
  call('HSET', TASKS, t.id, T.text(t))
  call('ZADD', LINES, 0, place(t))
  if t.batch ~= '' then call('ZADD', LINES, 0, table.concat({'g', t.batch, t.number, t.id}, FS)) end
  free_key(t)
  ended[#ended + 1] = {t.id, status}
end

-- A claim ended without its owner's doing: the task is ready again, its attempt counted, or dead (T4).
function T.give_back(t, reason)
  T.end_claim(t, TAKEN, reason)
  t.why = reason
  if t.attempts >= t.most then T.finish(t, 'x') else T.enter(t) end
end

-- The session that has a claim is over; `entry` is what its own list says after the kind.
function T.lose(entry, reason)
  local gid, id = match(entry, '^([^\31]*)\31(.*)$')
  local t = gid and T.read(id)
  if t and t.status == 'c' and t.gid == gid then T.give_back(t, reason) end
end

-- Forget a task; its id stays over for as long as a late push of it may come.
function T.delete(t)
  call('ZREM', LINES, place(t))
  if t.batch ~= '' and (t.status == 'f' or t.status == 'x') then
    call('ZREM', LINES, table.concat({'g', t.batch, t.number, t.id}, FS))
  end
  local needs = call('HGET', TASKS, FS .. 'd' .. FS .. t.id)
  for needed in string.gmatch(needs or '', '[^\31]+') do
    call('ZREM', LINES, 'p' .. FS .. needed .. FS .. t.id)
  end
  call('HDEL', TASKS, t.id, FS .. 'd' .. FS .. t.id)
  call('HDEL', KEYS[#KEYS], t.id)
  T.add(t, t.status == 'f' and KEPT or PLACES[t.status], -1)
  free_key(t)
  if tonumber(t.pushed) > now - 90000 then mark(t.id, RELEASED) end
end

-- Let a dead task begin anew.
function T.revive(t, blocked)
  call('ZREM', LINES, place(t))
  if t.batch ~= '' then call('ZREM', LINES, table.concat({'g', t.batch, t.number, t.id}, FS)) end
  T.add(t, PLACES[t.status], -1)
  if t.key ~= '' then call('HSET', TASKS, FS .. 'k' .. FS .. t.queue .. FS .. t.key, t.id) end
  t.status, t.attempts, t.number, t.duration, t.due = '', 0, '0', 0, 0
  T.enter(t, blocked)
end

function T.removed(t)
  ended[#ended + 1] = {t.id, 'r'}
end

-- One that depends on `needed` learns how that ended.
local function inform(id, needed, how)
  local t = T.read(id)
  local field = FS .. 'd' .. FS .. id
  if how == 'f' then
    local needs = FS .. (call('HGET', TASKS, field) or '') .. FS
    local from, till = find(needs, FS .. needed .. FS, 1, true)
    if from then needs = sub(needs, 1, from) .. sub(needs, till + 1) end
    needs = sub(needs, 2, -2)
    if needs ~= '' then
      call('HSET', TASKS, field, needs)
    else
      call('HDEL', TASKS, field)
      if t and t.status == 'b' then T.enter(t) end
    end
  elseif t and t.status == 'b' then
    t.why = 'its dependency ' .. needed .. (how == 'x' and ' is dead' or ' was removed')
    T.finish(t, 'x')
  end
end

-- Let those that depend on what ended know, up to 64 in a step; the rest is kept for the steps after it, as
-- 0 FS id FS how FS the last one that knows. One to be looked at again is kept with the how l.
function T.inform()
  local left = 64
  local function look(id, how, last)
    local from, till = 'p' .. FS .. id .. FS, '(p' .. FS .. id .. ' '
    local found = call('ZRANGEBYLEX', LINES, last ~= '' and '(' .. from .. last or '[' .. from, till, 'LIMIT', 0, left)
    for _, member in ipairs(found) do
      last = sub(member, #from + 1)
      if how ~= 'x' then call('ZREM', LINES, member) end -- a dead one may be tried again, and done
      inform(last, id, how)
    end
    if #found == left then call('ZADD', LINES, 0, table.concat({'0', id, how, last}, FS)) end
    left = left - #found
  end
  while left > 0 do
    local kept = call('ZRANGEBYLEX', LINES, '[0' .. FS, '(0 ', 'LIMIT', 0, 1)[1]
    if not kept then break end
    call('ZREM', LINES, kept)
    local id, how, last = match(kept, '^0\31([^\31]*)\31([fxrl])\31(.*)$')
    if how == 'l' then
      look_again(id, inform)
      left = left - 1
    elseif id then
      look(id, how, last)
    else
      T.garbled()
    end
  end
  local at = 1
  while at <= #ended do
    if left > 0 then
      look(ended[at][1], ended[at][2], '')
    else
      call('ZADD', LINES, 0, table.concat({'0', ended[at][1], ended[at][2], ''}, FS))
    end
    at = at + 1
  end
  ended = {}
end

-- Give back claims whose own time is over, those over the longest first, mend what was lost, and go on with what earlier
-- steps left.
function T.tidy()
  T.mend()
  local first = call('ZRANGE', LINES, 0, 0)[1] or ''
  if sub(first, 1, 2) == '0' .. FS then
    T.inform()
  elseif sub(first, 1, 2) ~= '1' .. FS then
    return
  end
  local till = '(1' .. FS .. format('%014.0f', now + 1)
  for _, member in ipairs(call('ZRANGEBYLEX', LINES, '[1' .. FS, till, 'LIMIT', 0, 16)) do
    local t = T.read(sub(member, 18))
    if t and t.status == 'c' and format('%014.0f', t.ends) == sub(member, 3, 16) then
      T.give_back(t, 'its max_runtime is over')
    else
      call('ZREM', LINES, member)
    end
  end
end

-- Make ready what has come due in a queue.
function T.take_along(queue)
  local from = 'd' .. FS .. queue .. FS
  for _, member in ipairs(call('ZRANGEBYLEX', LINES, '[' .. from, '(' .. from .. format('%014.0f', now + 1), 'LIMIT', 0, 64)) do
    local t = T.read(sub(member, #from + 33))
    if t and t.status == 'd' then T.enter(t) else call('ZREM', LINES, member) end
  end
end

-- Delete up to `limit` completed tasks of which the queue keeps more than `most`.
function T.trim_queue(queue, most, limit)
  local extra = math.min(count(FS .. 'q' .. FS .. queue)[KEPT] - most, limit)
  if extra <= 0 then return end
  local from = 'f' .. FS .. queue .. FS
  for _, member in ipairs(call('ZRANGEBYLEX', LINES, '[' .. from, '(f' .. FS .. queue .. ' ', 'LIMIT', 0, extra)) do
    local number, id = sub(member, #from + 1, #from + 16), sub(member, #from + 18)
    local t = T.read(id)
    call('XDEL', FINISHED, format('%.0f-0', tonumber(number) or 0))
    if t and t.status == 'f' then T.delete(t) else call('ZREM', LINES, member) end
  end
end

-- Delete up to `limit` ends that are older than `age`, and with them the tasks that are done; answers how many.
function T.trim_old(age, limit)
  for gone = 0, limit - 1 do
    local entry = call('XRANGE', FINISHED, '-', '+', 'COUNT', 1)[1]
    if not entry then return gone end
    local facts = {}
    for at = 1, #entry[2], 2 do facts[entry[2][at]] = entry[2][at + 1] end
    if (tonumber(facts.a) or 0) > now - age then return gone end
    local t = facts.i and T.read(facts.i)
    if t and t.status == 'f' and format('%.0f-0', tonumber(t.number)) == entry[1] then T.delete(t) end
    call('XDEL', FINISHED, entry[1])
  end
  return limit
end

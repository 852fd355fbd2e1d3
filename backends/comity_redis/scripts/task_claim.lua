-- Take the ready task of best priority, then the oldest, of some queues; else register to be woken.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, wait (1 or 0), the claim's own time in ms (0: none), most claims,
--       listener's address, queues...
-- Answers  {'C', task, record, payload, ms left of the claim's own time or -1, us},
--          {'N', ms after which to ask again or -1, us}, {'E', taken, reason, us}, {'L', reason} (session over), {'M'} (limit)
-- Keeps  T2, T4, T5, X4: one request id has one task at most, and never again once it is over
--@include _keys.lua
local o, gid, runtime, PAYLOADS = ARGV[1] .. FS .. ARGV[2], ARGV[3], tonumber(ARGV[5]), KEYS[#KEYS]
local mine = o .. FS .. 't'
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
end

-- The common case: one queue that has a ready task, a new request, and nothing that has come due.
local function common()
  local queue, waits = ARGV[8], o .. FS .. 'c' .. FS .. gid
  local urgent = call('ZRANGE', LINES, 0, 0)[1] or ''
  if sub(urgent, 1, 2) == '0' .. FS or (sub(urgent, 1, 2) == '1' .. FS and (tonumber(sub(urgent, 3, 16)) or 0) <= now)
    or call('ZSCORE', ENDED, gid)
    or call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') >= tonumber(ARGV[6])
    or #call('ZRANGEBYLEX', OWN, '[' .. mine .. FS .. gid .. FS, '(' .. mine .. FS .. gid .. ' ', 'LIMIT', 0, 1) > 0
    or (ARGV[4] == '1' and #call('ZRANGEBYLEX', OWN, '[' .. waits .. FS, '(' .. waits .. ' ', 'LIMIT', 0, 1) > 0) then
    return nil
  end
  local delayed = call('ZRANGEBYLEX', LINES, '[d' .. FS .. queue .. FS, '(d' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1]
  if delayed and (tonumber(sub(delayed, #queue + 4, #queue + 17)) or 0) <= now then return nil end
  local from = 'r' .. FS .. queue .. FS
  local member = call('ZRANGEBYLEX', LINES, '[' .. from, '(r' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1]
  if not member then return nil end
  local id, of_queue = sub(member, #from + 24), FS .. 'q' .. FS .. queue
  local there = call('HMGET', TASKS, id, of_queue)
  local batch, constant, attempts, due, duration, why = match(there[1] or '',
    '^r\31[^\31]*\31([^\31]*)(\31[^\31]*\31%d+\31%d+\31%d+\31%d+\31[ah][^\31]*\31)(%d+)\31%d+\31(%d+)\31'
    .. '%d+\31%d+\31[^\31]*\31[^\31]*\31[^\31]*\31%d+\31(%d+)\31([^\31]*)$')
  if not batch then return nil end
  local of_batch = FS .. 'b' .. FS .. batch
  local function one_more(counts)
    local ready, between, claimed, rest = match(counts or '', '^(%d+)( %d+ %d+ )(%d+)( .*)$')
    return ready and format('%.0f%s%.0f%s', math.max(ready - 1, 0), between, claimed + 1, rest)
  end
  local counts = one_more(there[2])
  local counts_too = batch ~= '' and one_more(call('HGET', TASKS, of_batch))
  if not counts or (batch ~= '' and not counts_too) then return nil end
  local payload = call('HGET', PAYLOADS, id)
  if not payload then return nil end
  local last = tonumber(call('HGET', LOCKS, '') or 0) or 0
  if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else
  local token = format('%016.0f', math.max(last + 1, now_us))
  local text = table.concat({'c', queue, batch .. constant .. format('%.0f', attempts + 1), format('%.0f', now), due, '0',
    token, gid, o, '0', duration, why}, FS)
  call('ZREM', LINES, member)
  call('HSET', LOCKS, '', token)
  if counts_too then
    call('HSET', TASKS, id, text, of_queue, counts, of_batch, counts_too)
  else
    call('HSET', TASKS, id, text, of_queue, counts)
  end
  call('ZADD', LINES, 0, table.concat({'c', queue, token, id}, FS))
  call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. id)
  return {'C', id, text, payload, -1, now_us}
end
if #ARGV == 8 and runtime == 0 then
  local answer = common()
  if answer then return answer end
end
--@include _ended.lua
--@include _tasks.lua
local T = tasks()
local function claimed(t)
  return {'C', t.id, T.text(t), call('HGET', PAYLOADS, t.id), t.ends > 0 and t.ends - now or -1, now_us}
end

T.tidy()
local score = call('ZSCORE', ENDED, gid)
if score then
  T.commit()
  local text = tonumber(score) % 1 == TAKEN and call('HGET', IDS, gid)
  return {'E', text and 1 or 0, text and match(text, '^!(.*)$') or '', now_us}
end
local present = T.claimed(o, gid)
if present or call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') >= tonumber(ARGV[6]) then
  T.commit()
  return present and claimed(present) or {'M'}
end
local queues = {}
for at = 8, #ARGV do queues[#queues + 1] = ARGV[at] end

-- The foremost of what is ready; a line without a task that can be read is no obstacle, nor is a task that nobody
-- can do because its payload is gone.
local function next_task()
  for _ = 1, 64 do
    local best, line
    for _, queue in ipairs(queues) do
      local from = 'r' .. FS .. queue .. FS
      local member = call('ZRANGEBYLEX', LINES, '[' .. from, '(r' .. FS .. queue .. ' ', 'LIMIT', 0, 1)[1]
      local key = member and sub(member, #from + 1)
      if key and (not best or key < best) then best, line = key, member end
    end
    if not best then return nil end
    local t = T.read(sub(best, 24))
    if not t or t.status ~= 'r' then
      call('ZREM', LINES, line)
    elseif call('HEXISTS', PAYLOADS, t.id) == 1 then
      return t
    else
      T.garbled()
      t.why = 'its payload is gone'
      T.finish(t, 'x')
    end
  end
end

local function take(t)
  T.taken(t.queue)
  T.leave(o, gid)
  t.token, t.attempts, t.gid, t.sid, t.inc = token(), t.attempts + 1, gid, ARGV[1], ARGV[2]
  if runtime > 0 then
    t.ends = now + runtime
    call('ZADD', LINES, 0, '1' .. FS .. format('%014.0f', t.ends) .. FS .. t.id)
    T.watch(t.queue)
  end
  T.move(t, 'c')
  call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. t.id)
  T.commit()
  return claimed(t)
end

for _, queue in ipairs(queues) do T.take_along(queue) end
local t = next_task()
if t then return take(t) end
--@include _step.lua
-- Nothing is ready: perhaps because a session that is past its deadline has it.
local due = call('ZRANGEBYSCORE', LIVE, '-inf', now, 'LIMIT', 0, 8)
for _, other in ipairs(due) do
  local theirs = other .. FS .. 't'
  if call('ZRANGEBYLEX', OWN, '[' .. theirs .. FS, '(' .. theirs .. ' ', 'LIMIT', 0, 1)[1] then
    finish(other, 'expired')
    t = next_task()
    break
  end
end
if t then T.taken(t.queue) end
if #due > 0 then commit() end
if t then return take(t) end
local left = -1
if ARGV[4] == '1' then
  T.join(o, gid, ARGV[7], queues)
  left = T.retry_ms(gid, queues)
end
T.commit()
return {'N', left, now_us}

-- End a claim with its task done, and trim finished tasks.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, task, token (16 digits), result, most completed tasks of a queue, most age in ms
-- Answers  {'K', 'f', us} or {'X', reason, us} (the claim was lost)
-- Keeps  T3, T5, X4, X13
--@include _keys.lua
--@include _ended.lua
local o, gid, id, most = ARGV[1] .. FS .. ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[7])

-- The common case: the claim stands as long as its session, the task has no dedupe key and nobody depends on it, and
-- the queue keeps no more than it may. Answers nil, with nothing done that matters, when it is none.
local function common()
  local alive = call('ZSCORE', LIVE, o)
  if not alive or tonumber(alive) <= now then return nil end
  local queue, batch, constant, since, due, token, by, whose = match(call('HGET', TASKS, id) or '',
    '^c\31([^\31]*)\31([^\31]*)\31\31(%d+\31%d+\31%d+\31%d+\31[ah][^\31]*\31%d+)\31(%d+)\31(%d+)\0310\31(%d+)\31([^\31]*)\31'
    .. '([^\31]*\31[^\31]*)\31%d+\31%d+\31[^\31]*$')
  if not queue or token ~= ARGV[5] or by ~= gid or whose ~= o then return nil end
  if #call('ZRANGEBYLEX', LINES, '[p' .. FS .. id .. FS, '(p' .. FS .. id .. ' ', 'LIMIT', 0, 1) > 0 then return nil end
  local duration = math.max(0, now - since)
  local function one_more(counts)
    local before, claimed, dead, done, kept, sum = match(counts or '', '^(%d+ %d+ %d+ )(%d+)( %d+ )(%d+) (%d+) (%d+)$')
    return before and format('%s%.0f%s%.0f %.0f %.0f', before, math.max(claimed - 1, 0), dead, done + 1, kept + 1,
      sum + duration), tonumber(kept)
  end
  local of_queue, of_batch = FS .. 'q' .. FS .. queue, FS .. 'b' .. FS .. batch
  local there = call('HMGET', TASKS, FS .. 'n', of_queue, of_batch)
  local epoch, number = match(there[1] or '', '^(%d+)\31(%d+)$')
  local counts, kept = one_more(there[2])
  local counts_too = batch ~= '' and one_more(there[3])
  if not epoch or not counts or kept >= most or (batch ~= '' and not counts_too) then return nil end
  number = number + 1
  call('ZREM', LINES, table.concat({'c', queue, token, id}, FS))
  local added = redis.pcall('XADD', FINISHED, format('%.0f-0', number), 'i', id, 'q', queue, 'b', batch, 's', 'f',
    'n', match(constant, '%d+$'), 'd', format('%.0f', duration), 'a', format('%.0f', now), 'e', '', 'r', ARGV[6])
  if type(added) == 'table' and added.err then return nil end
  local place, last = format('%016.0f', number), format('%s\31%.0f', epoch, number)
  local text = table.concat({'f', queue, batch, '', constant, format('%.0f', now), due, '0', token, '', o, place,
    format('%.0f', duration), ''}, FS)
  if counts_too then
    call('HSET', TASKS, id, text, FS .. 'n', last, of_queue, counts, of_batch, counts_too)
    call('ZADD', LINES, 0, table.concat({'g', batch, place, id}, FS))
  else
    call('HSET', TASKS, id, text, FS .. 'n', last, of_queue, counts)
  end
  call('ZADD', LINES, 0, table.concat({'f', queue, place, id}, FS))
  call('ZREM', OWN, o .. FS .. 't' .. FS .. gid .. FS .. id)
  mark(gid, RELEASED)
  return {'K', 'f', now_us}
end
if now_us % 32 > 0 then
  local answer = common()
  if answer then return answer end
end
--@include _tasks.lua
call('ZREM', LIVE, '')
local T = tasks()
local t = T.standing(o, gid)
if not t or t.id ~= id or t.token ~= ARGV[5] then
  T.commit()
  return T.how_it_ended(gid, id, ARGV[5])
end
T.end_claim(t, RELEASED)
T.finish(t, 'f', ARGV[6])
T.trim_queue(t.queue, most, 4)
if now_us % 32 == 0 then T.trim_old(tonumber(ARGV[8]), 64) end
T.commit()
return {'K', 'f', now_us}

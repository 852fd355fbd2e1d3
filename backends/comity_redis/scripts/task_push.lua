-- Store a task: ready, delayed, or blocked until those it depends on are done.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, task, queue, batch, dedupe key, rank (9999 - priority, 5 digits), delay in ms,
--       most attempts, payload, h (a person pushes it) or a, tasks it depends on...
-- Answers  {'P', record, us}, {'T', id of the task that has the key, its record, its payload, us},
--          {'G', us} (it is gone already), {'U', dependency} (unknown), {'X', dependency} (dead), {'L', reason} (session over)
-- Keeps  T1, X4: the task's id makes one task
--@include _keys.lua
local o, id, queue, batch, key = ARGV[1] .. FS .. ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local delay, by, PAYLOADS = tonumber(ARGV[8]), ARGV[11] .. ARGV[1], KEYS[#KEYS]
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
end

-- The common case: a new task that can be claimed at once, in a queue (and a batch) of which there are others,
-- and for which nobody waits.
local of_queue, of_batch = FS .. 'q' .. FS .. queue, FS .. 'b' .. FS .. batch
local there = call('HMGET', TASKS, id, of_queue, of_batch)
local ready, rest = match(there[2] or '', '^(%d+)( .*)$')
local ready_too, rest_too = match(there[3] or '', '^(%d+)( .*)$')
if not there[1] and delay == 0 and key == '' and #ARGV == 11 and ready and (batch == '' or ready_too)
  and not call('ZSCORE', ENDED, id)
  and #call('ZRANGEBYLEX', LINES, '[w' .. FS .. queue .. FS, '(w' .. FS .. queue .. ' ', 'LIMIT', 0, 1) == 0 then
  local last = tonumber(call('HGET', LOCKS, '') or 0) or 0
  if not (last >= 0 and last < 9e15) then last = 0 end -- nonsense, by somebody else
  local seq = format('%016.0f', math.max(last + 1, now_us))
  local ms = format('%.0f', now)
  local text = table.concat({'r', queue, batch, '', ARGV[7], seq, ARGV[9], ms, by, '0', ms, '0', '0', '0', '', '', '', '0',
    '0', ''}, FS)
  call('HSET', LOCKS, '', seq)
  call('HSET', PAYLOADS, id, ARGV[10])
  ready = format('%.0f', ready + 1) .. rest
  if batch == '' then
    call('HSET', TASKS, id, text, of_queue, ready)
  else
    call('HSET', TASKS, id, text, of_queue, ready, of_batch, format('%.0f', ready_too + 1) .. rest_too)
  end
  call('ZADD', LINES, 0, table.concat({'r', queue, ARGV[7], seq, id}, FS))
  return {'P', text, now_us}
end
--@include _ended.lua
--@include _tasks.lua
local T = tasks()
if there[1] and T.read(id) then return {'P', there[1], now_us} end
if there[1] or call('ZSCORE', ENDED, id) then return {'G', now_us} end
local twin = key ~= '' and call('HGET', TASKS, FS .. 'k' .. FS .. queue .. FS .. key)
local known = twin and T.read(twin)
if known then return {'T', twin, T.text(known), call('HGET', PAYLOADS, twin), now_us} end
local needs, seen = {}, {}
for at = 12, #ARGV do
  local needed = ARGV[at]
  if not seen[needed] then
    seen[needed] = true
    local t = T.read(needed)
    if not t then return {'U', needed} end
    if t.status == 'x' then return {'X', needed} end
    if t.status ~= 'f' then needs[#needs + 1] = needed end
  end
end
local t = {id = id, status = '', queue = queue, batch = batch, key = key, rank = ARGV[7], seq = token(),
  most = tonumber(ARGV[9]), pushed = format('%.0f', now), by = by, attempts = 0, since = '0', due = delay > 0 and now + delay or 0,
  ends = 0, token = '0', gid = '', sid = '', inc = '', number = '0', duration = 0, why = ''}
call('HSET', PAYLOADS, id, ARGV[10])
if key ~= '' then call('HSET', TASKS, FS .. 'k' .. FS .. queue .. FS .. key, id) end
for _, needed in ipairs(needs) do call('ZADD', LINES, 0, 'p' .. FS .. needed .. FS .. id) end
if #needs > 0 then call('HSET', TASKS, FS .. 'd' .. FS .. id, table.concat(needs, FS)) end
T.enter(t, #needs > 0)
T.commit()
return {'P', T.text(t), now_us}

-- Store a task: ready, delayed, or blocked until those it depends on are done.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, task, queue, batch, dedupe key, rank (9999 - priority, 5 digits), delay in ms,
--       most attempts, payload, tasks it depends on...
-- Answers  {'P', record, us}, {'T', id of the task that has the key, its record, its payload, us},
--          {'G', us} (it is gone already), {'U', dependency} (unknown), {'X', dependency} (dead), {'L', reason} (session over)
-- Keeps  T1, X4: the task's id makes one task
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local o, id, queue, batch, key = ARGV[1] .. FS .. ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local delay, PAYLOADS = tonumber(ARGV[8]), KEYS[#KEYS]
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
end
local T = tasks()
local there = call('HGET', TASKS, id)
if there then return {'P', there, now_us} end
if call('ZSCORE', ENDED, id) then return {'G', now_us} end
local twin = key ~= '' and call('HGET', TASKS, FS .. 'k' .. FS .. queue .. FS .. key)
local known = twin and call('HGET', TASKS, twin)
if known then return {'T', twin, known, call('HGET', PAYLOADS, twin), now_us} end
local needs, seen = {}, {}
for at = 11, #ARGV do
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
  most = tonumber(ARGV[9]), pushed = format('%.0f', now), attempts = 0, since = '0', due = delay > 0 and now + delay or 0,
  ends = 0, token = '0', gid = '', sid = '', inc = '', number = '0', duration = 0, why = ''}
call('HSET', PAYLOADS, id, ARGV[10])
if key ~= '' then call('HSET', TASKS, FS .. 'k' .. FS .. queue .. FS .. key, id) end
for _, needed in ipairs(needs) do call('ZADD', LINES, 0, 'p' .. FS .. needed .. FS .. id) end
if #needs > 0 then call('HSET', TASKS, FS .. 'd' .. FS .. id, table.concat(needs, FS)) end
T.enter(t, #needs > 0)
T.commit()
return {'P', T.text(t), now_us}

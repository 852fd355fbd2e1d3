-- Give a dead task its attempts anew.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, task
-- Answers  {'K', record, payload, us}, {'S', status} (it is not dead), {'T', task} (that has its dedupe key),
--          {'U', task} (no such task, or dependency), {'X', dependency} (dead), {'L', reason} (session over)
-- Keeps  T4, X4
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local o, gid, id = ARGV[1] .. FS .. ARGV[2], ARGV[3], ARGV[4]
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
end
local T = tasks()
local t = T.read(id)
if not t then return {'U', id} end
if not call('ZSCORE', ENDED, gid) then
  if t.status ~= 'x' then return {'S', t.status} end
  local twin = t.key ~= '' and call('HGET', TASKS, FS .. 'k' .. FS .. t.queue .. FS .. t.key)
  if twin then return {'T', twin} end
  local needs = call('HGET', TASKS, FS .. 'd' .. FS .. id)
  for needed in string.gmatch(needs or '', '[^\31]+') do
    local other = T.read(needed)
    if not other then return {'U', needed} end
    if other.status == 'x' then return {'X', needed} end
  end
  mark(gid, RELEASED)
  T.revive(t, needs)
  T.commit()
end
return {'K', T.text(t), call('HGET', KEYS[#KEYS], id), now_us}

-- Delete a task that nobody works on.
-- KEYS  the fixed ones, payloads
-- ARGV  agent id, incarnation, request, task; or '', '', '', task: take a push back, if nobody has claimed its task
-- Answers  1 when it is gone by this request, else 0; {'S', agent id} (that works on it), {'L', reason} (session over)
-- Keeps  T5, X4 (an id that was taken back is over even when there was no such task, so that a late push does nothing)
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local o, gid, id = ARGV[1] .. FS .. ARGV[2], ARGV[3], ARGV[4]
local T = tasks()
local t = T.read(id)
if gid == '' then
  if not call('ZSCORE', ENDED, id) then mark(id, WITHDRAWN) end
  if not t or t.attempts > 0 or t.status == 'f' or t.status == 'x' then return 0 end
else
  local alive = call('ZSCORE', LIVE, o)
  if not alive or tonumber(alive) <= now then
    return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
  end
  if call('ZSCORE', ENDED, gid) then return 1 end
  if not t then return 0 end
  if t.status == 'c' then return {'S', t.sid} end
  mark(gid, RELEASED)
end
if t.status ~= 'f' and t.status ~= 'x' then T.removed(t) end
T.delete(t)
T.commit()
return 1

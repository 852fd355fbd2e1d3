-- Move a session's deadline on, unless it is over.
-- ARGV  agent id, incarnation, version up to which losses are known; then, if any, a lease that it has: request id, name, or
--       twice nothing; and a claim: request id, task
-- Answers  {1, version, live sessions, ms to the earliest deadline of another session or a claim or false}, then 1 when
--          that lease or claim is gone, and did not end: the server lost it; or {0, reason}
-- Keeps  S3, S6 (one small step whatever is held), X13: its first write only removes
--@include _keys.lua
local o = ARGV[1] .. FS .. ARGV[2]
local alive, lost = call('ZSCORE', LIVE, o), false
if alive and tonumber(alive) > now then
--@include _kept.lua
  if not lost then
    local notes = o .. FS .. 'n'
    call('ZREMRANGEBYLEX', OWN, '[' .. notes .. FS, '(' .. notes .. FS .. ARGV[3] .. ' ')
    call('ZADD', LIVE, now + (match(kept[1], '^[^\31]*\31(%d+)\31') or 30000), o)
--@include _beat.lua
    if ARGV[4] then
      local function is_gone(gid, record, from, entry)
        local whole = record and find(record, FS .. gid .. FS .. o .. FS, from, true) and call('ZSCORE', OWN, o .. FS .. entry)
        return not whole and not call('ZSCORE', ENDED, gid)
      end
      local gid, name, claim, id = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
      if gid ~= '' and is_gone(gid, call('HGET', LOCKS, name), 18, 'q' .. FS .. gid .. FS .. name)
        or claim and is_gone(claim, call('HGET', TASKS, id), 1, 't' .. FS .. claim .. FS .. id) then
        told[5] = 1
      end
    end
    return told
  end
end
--@include _gone.lua

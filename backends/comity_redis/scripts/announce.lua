-- Begin a session: store its record and publish session.joined.
-- ARGV  agent id, incarnation, ttl in ms, interval in ms, record (JSON), process
-- Answers  {'A', start in ms, version}, {'T', ms} (taken: at least that long), {'L', reason} (this incarnation is over)
-- Keeps  S1, S2, X4: the same incarnation again renews its lease and publishes nothing
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
local sid, inc, ttl, interval = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local o = sid .. FS .. inc
if call('ZSCORE', ENDED, o) then return {'L', why(o)} end
local present, lasts, _, started = lease(sid)
if present then
  local other = sid .. FS .. present
  if present == inc then
    if not lives(o) then return {'L', why(o)} end
    call('ZADD', LIVE, now + lasts, o)
    return {'A', tonumber(started), tonumber(call('HGET', LEASES, sid .. FS .. 'v') or 0) or 0}
  end
  if settled(other) then return {'T', deadline(other) - now} end
end
if call('EXISTS', LIVE) == 0 then tasks().doubt() end
local text = format('%.0f', now)
call('HSET', LEASES, sid, table.concat({inc, ARGV[3], ARGV[4], text, ARGV[6]}, FS))
call('HDEL', LEASES, sid .. FS .. 'v')
call('HSET', RECORDS, sid, table.concat({inc, text, '0', ARGV[3], ARGV[4], ARGV[5]}, FS))
call('ZADD', LIVE, now + ttl, o)
count(META, 'members')
publish('session.joined', sid, format('{"agent_id":%s,"started_ms":%s,"record":', json(sid), text) .. ARGV[5] .. '}')
-- Sessions look at the deadlines once an interval: one that may end sooner must be looked at earlier (S8).
local longest = tonumber(call('HGET', META, 'interval') or 0) or 0
if interval > longest then call('HSET', META, 'interval', ARGV[4]) end
if ttl < longest then call('PUBLISH', PREFIX .. 'n', 'h') end
return {'A', now, 0}

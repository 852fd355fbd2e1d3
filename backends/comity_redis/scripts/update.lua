-- Replace a session's record by its next revision.
-- ARGV  agent id, incarnation, the revision it follows, revision, record (JSON)
-- Answers  {'U', record, deadline in ms} or {'L', reason} (session over)
-- Keeps  S11, X4: a revision that does not follow the stored one changes nothing
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
local sid = ARGV[1]
local o = sid .. FS .. ARGV[2]
if not lives(o) then return {'L', why(o)} end
local record = call('HGET', RECORDS, sid) or ''
local inc, started, revision, ttl, interval = match(record, '^([^\31]*)\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31')
if inc ~= ARGV[2] then -- unreadable: build it again from the lease
  inc, ttl, interval, started = lease(sid)
  revision = ARGV[3]
end
if revision == ARGV[3] then
  record = table.concat({inc, started, ARGV[4], ttl, interval, ARGV[5]}, FS)
  call('HSET', RECORDS, sid, record)
  count(META, 'members')
  publish('session.updated', sid, format('{"agent_id":%s,"started_ms":%s,"record":', json(sid), started) .. ARGV[5] .. '}')
end
return {'U', record, call('ZSCORE', LIVE, o)}

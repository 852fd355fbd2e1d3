-- End another session at once.
-- ARGV  agent id, incarnation, request id, the agent id to end, why
-- Answers  1 when this step or an earlier try of it ended the session, 0 when there is none, {'L', reason} (session over)
-- Keeps  S14, X4, X13: its first write only removes
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
local o, id, sid = ARGV[1] .. FS .. ARGV[2], FS .. ARGV[3], ARGV[4]
if call('ZSCORE', ENDED, id) then return 1 end
if not lives(o) then return {'L', why(o)} end
local inc = lease(sid)
local there = inc and sid .. FS .. inc
if not there or not lives(there) then return 0 end
call('ZREM', LIVE, '')
finish(there, 'evicted', ARGV[1], ARGV[5])
mark(id, RELEASED)
commit()
return 1

-- Replace the single holder of a name by a request, if it still holds with the token given.
-- ARGV  agent id, incarnation, request id, name, mode (x or s), ttl in ms (0: none), most leases, flow,
--       the holder's token (16 digits), reason
-- Answers  {'G', token, ms left of the own ttl or -1, us}, {'C', us, holders...} (changed), {'E', taken, reason, us},
--          {'L', reason} (session over), {'M'} (limit)
-- Keeps  L12: the queue stays as it is, the loser is told who and why
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
local sid, gid, name, mode = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local o = sid .. FS .. ARGV[2]
if not lives(o) then return {'L', why(o)} end
local s = state(name)
local over = ended(s, gid)
if over then return over end
asking = gid
clear(s)
local h = holding(s, gid)
if h then return granted(h) end
over = ended(s, gid)
if over then return over end
h = s.holders[1]
if #s.holders ~= 1 or h.token ~= ARGV[9] then return with_holders({'C', now_us}, s) end
local w = waiting(gid)
if not w and full(o, tonumber(ARGV[7])) then return {'M'} end
if w then leave(w) end
lose(s, h, ARGV[10], sid)
s.holders = {}
call('ZADD', OWN, 0, o .. FS .. 'q' .. FS .. gid .. FS .. name)
h = grant(s, {mode = mode, gid = gid, sid = sid, o = o, ttl = tonumber(ARGV[6]), flow = ARGV[8]}, token())
s.dirty = false
commit()
return granted(h)

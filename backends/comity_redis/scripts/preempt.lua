-- Replace the single holder of a name, or of what overlaps it, by a request, if it still holds with the token given.
-- ARGV  agent id, incarnation, request id, name, mode (x or s), ttl in ms (0: none), most leases, flow,
--       the holder's token (16 digits), reason
-- Answers  {'G', token, ms left of the own ttl or -1, us, name}, {'C', us, holders...} (changed), {'E', taken, reason, us},
--          {'L', reason} (session over), {'M'} (limit)
-- Keeps  L12: the queue stays as it is, the loser is told who and why
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
--@include _once.lua
local sid, gid, name, mode = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local o = sid .. FS .. ARGV[2]
if not lives(o) then return {'L', why(o)} end
local over = ended(o, gid)
if over then return over end
asking = gid
clear({name})
local h = grant_of(o, gid)
if h then return granted(h) end
over = ended(o, gid)
if over then return over end
local found = holders_of({name})
local held = once(found)
h = held[1]
if #held ~= 1 or h.token ~= ARGV[9] then return with_holders({'C', now_us}, found) end
local w = waiting(gid)
if not w and full(o, 1, tonumber(ARGV[7])) then return {'M'} end
if w then leave(w) end
lose(h, ARGV[10], sid, name)
h = grant({gid = gid, sid = sid, o = o, ttl = tonumber(ARGV[6]), flow = ARGV[8]}, {{name = name, mode = mode}})
state(name).dirty = false
commit()
return granted(h)

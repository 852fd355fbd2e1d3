-- Let a lease's own time end some time from now, or with its session.
-- ARGV  agent id, incarnation, request id, renewal (counted from 1), ttl in ms (0: none)
-- Answers  {'R', ms left of the own ttl or -1, us, the renewal that stands}, {'E', taken, reason, us}, {'L', reason} (session over)
-- Keeps  L7, X4: a renewal that is not newer than the last one changes nothing
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
local gid, ttl = ARGV[3], tonumber(ARGV[5])
local o = ARGV[1] .. FS .. ARGV[2]
call('ZREM', LIVE, '')
if not lives(o) then return {'L', why(o)} end
local list = names_of(o, gid)
clear(list)
local h = grant_of(o, gid)
if not h then return ended(o, gid) or {'E', 0, '', now_us} end
if tonumber(ARGV[4]) > h.renewal then
  for _, s in ipairs(states(list)) do
    local each = holding(s, gid)
    if each then -- not where the list of what it holds is wrong
      each.renewal = tonumber(ARGV[4])
      each.due = ttl > 0 and now + ttl or 0
      rewrite(each)
      s.unsaved = true
    end
  end
  commit()
end
return {'R', h.due > 0 and h.due - now or -1, now_us, h.renewal}

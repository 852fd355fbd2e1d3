-- End a waiting request; one that is held already is kept or freed, as asked.
-- ARGV  agent id, incarnation, request id, keep (1 or 0)
-- Answers  {'G', token, ms left of the own ttl or -1, us, first name} or {'W', us}
-- Keeps  L6, X4 (a mark stays even when nothing was found, so that a late acquire does nothing), X5, X13
--@include _keys.lua
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
local gid = ARGV[3]
local o = ARGV[1] .. FS .. ARGV[2]
asking = gid
call('ZREM', LIVE, '')
if settled(o) then
  local list = names_of(o, gid)
  clear(list)
  local h, w = grant_of(o, gid), waiting(gid)
  if h and ARGV[4] == '1' then return granted(h) end
  if h then
    free(h, WITHDRAWN)
  elseif w and w.o == o then
    give_up(w)
  elseif not w then
    give_up_lost(o, gid, list)
  end
end
if not call('ZSCORE', ENDED, gid) then mark(gid, WITHDRAWN) end
commit()
return {'W', now_us}

-- Read all that a session holds, waits for and has lost.
-- ARGV  agent id, incarnation
-- Answers  {'O', us, the session's deadline, version, {own entry, its lock record or waiting member, place or 0}...},
--          or {'L', reason} (session over); texts as stored
-- Keeps  L8, L10, S6
--@include _keys.lua
local o = ARGV[1] .. FS .. ARGV[2]
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  local why = call('HGET', IDS, o)
  return {'L', why and sub(why, 1, 1) == '!' and sub(why, 2) or (alive and 'expired' or '')}
end
-- The place of a waiting member in its queue; sessions that are due and not ended yet do not count.
local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
local function place(name, member)
  local from, till = '[' .. name .. FS, '[' .. member
  if tonumber(first[2]) > now then return call('ZLEXCOUNT', QUEUE, from, till) end
  local count = 0
  for _, other in ipairs(call('ZRANGEBYLEX', QUEUE, from, till)) do
    local who = match(other, '^[^\31]*\31%d+\31%d+\31[xs]\31[^\31]*\31([^\31]*\31[^\31]*)\31')
    local ends = who and call('ZSCORE', LIVE, who)
    if ends and tonumber(ends) > now then count = count + 1 end
  end
  return count
end
local answer = {'O', now_us, alive, tonumber(call('HGET', LEASES, ARGV[1] .. FS .. 'v') or 0) or 0}
for _, entry in ipairs(call('ZRANGEBYLEX', OWN, '[' .. o .. FS, '(' .. o .. ' ')) do
  local kind = sub(entry, #o + 2, #o + 2)
  if kind == 'n' then
    answer[#answer + 1] = {entry, '', 0}
  elseif kind == 'q' then
    local gid, name = match(entry, '^([^\31]*)\31(.*)$', #o + 4)
    local member = gid and call('HGET', IDS, gid)
    if member and sub(member, 1, 1) ~= '!' then
      answer[#answer + 1] = {entry, member, place(name, member)}
    elseif gid then
      -- Of the record of a name only this holder's part: readers may be many.
      local record = call('HGET', LOCKS, name) or ''
      local at = find(record, FS .. gid .. FS .. o .. FS, 18, true)
      if at then
        local till = find(record, RS, at, true) or #record + 1
        answer[#answer + 1] = {entry, sub(record, 1, 1) .. sub(record, at - 16, till - 1), 0}
      end
    end
  end
end
return answer

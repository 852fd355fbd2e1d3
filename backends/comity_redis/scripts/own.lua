-- Read all that a session holds, waits for and has lost.
-- ARGV  agent id, incarnation
-- Answers  {'O', us, the session's deadline, version, {own entry, its lock record or waiting request, place or 0}...},
--          or {'L', reason} (session over); texts as stored
-- Keeps  L8, L10, S6
--@include _keys.lua
--@include _overlap.lua
local o = ARGV[1] .. FS .. ARGV[2]
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  local why = call('HGET', IDS, o)
  return {'L', why and sub(why, 1, 1) == '!' and sub(why, 2) or (alive and 'expired' or '')}
end
-- The place of a request in the queue of a name; sessions that are due and not ended yet do not count, nor do requests
-- that have lost their places.
local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
local lost = call('ZRANGEBYLEX', QUEUE, '[' .. FS, '(' .. FS .. format('%016.0f', now + 1), 'LIMIT', 0, 1)[1]
local function place_at(name, turn, member)
  if not find(name, '/', 1, true) and not lost and tonumber(first[2]) > now then
    return call('ZLEXCOUNT', QUEUE, '[' .. name .. FS, '[' .. member)
  end
  local count, seen = 0, {}
  each_waiting_near(name, function(other)
    local at, gid, who, kept = match(other,
      '^[^\31]*(\31%d+\31%d+\31)[xs]\31([^\31]*)\31([^\31]*\31[^\31]*)\31%d+\31%d+\31(%d+)\31')
    if not at or at > turn or seen[gid] then return end
    seen[gid] = true
    local ends = call('ZSCORE', LIVE, who)
    if ends and tonumber(ends) > now and (kept == '0' or tonumber(kept) > now) then count = count + 1 end
  end)
  return count
end

-- The place of a whole request: where it stands last in line, or first if any of its names will do.
local function place(text)
  local list, turn, modes, rest = match(text, '^([^\31]*)(\31%d+\31%d+\31)([xs]+)(\31.*)$')
  local any, found, at = sub(text, -1) == 'o', nil, 0
  for name in string.gmatch(list or '', '[^\30]+') do
    at = at + 1
    local there = place_at(name, turn, name .. turn .. sub(modes, at, at) .. rest)
    if not found or any == (there < found) then found = there end
  end
  return found or 0
end

local seen = {}
local answer = {'O', now_us, alive, tonumber(call('HGET', LEASES, ARGV[1] .. FS .. 'v') or 0) or 0}
for _, entry in ipairs(call('ZRANGEBYLEX', OWN, '[' .. o .. FS, '(' .. o .. ' ')) do
  local kind = sub(entry, #o + 2, #o + 2)
  if kind == 'n' then
    answer[#answer + 1] = {entry, '', 0}
  elseif kind == 'q' then
    local gid, name = match(entry, '^([^\31]*)\31(.*)$', #o + 4)
    local text = gid and call('HGET', IDS, gid)
    if text and sub(text, 1, 1) ~= '!' then
      if not seen[gid] then answer[#answer + 1] = {entry, text, place(text)} end
      seen[gid] = true
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

-- Grant, queue or refuse a request; asked again, answer the present state of its id.
-- ARGV  agent id, incarnation, request id, name, mode (x or s), rank (9999 - priority, 5 digits), wait (1 or 0),
--       ttl in ms (0: none), most names, listener's address, flow; for several names they are parted by RS, with a mode
--       for each, and whether it wants all of them (a) or any one (o, else -) follows; then for how many ms it keeps its
--       place (0: as its session lives)
-- Answers  us, when it is granted here and now and that is the token, too; {'G', token, ms left of the own ttl or -1, us, first
--          name where that can be in doubt}, {'Q', place, retry ms, us, holders...}, {'H', us, holders...}, {'D', us, {agent id, flow, name it waits for...}, holders...} (deadlock),
--          {'E', taken, reason, us}, {'L', reason} (session over), {'M'} (limit);
--          holders: for each mode and name, text, ms to the end
-- Keeps  L1-L6, L13, L15, X4: one request id is absent, queued, held, ended, never back
--@include _keys.lua
local sid, inc, gid, name, mode = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl = tonumber(ARGV[8])
local o = sid .. FS .. inc
local mine = o .. FS .. 'q'
local alive = call('ZSCORE', LIVE, o)

--@include _following.lua

-- The common case: nobody holds the name, so nobody waits for it and this id is new unless it is over.
-- Or readers hold it, all of them there, nobody waits, and one more reader comes. Nobody has an area above it or waits
-- for one, and of an area, nothing below is held or waited for.
local is_within = find(name, '/', 1, true)
local open, there = #ARGV == 11 and alive and tonumber(alive) > now, nil
local is_area = is_within and sub(name, -1) == '/'
if open and is_within then
  local near = {name, ''}
  for at in string.gmatch(name, '()/') do
    if at < #name then near[#near + 1] = sub(name, 1, at) end
  end
  there = call('HMGET', LOCKS, unpack(near))
  for at = 3, #near do open = open and not there[at] end
  if open and is_area then
    local function none(key, from)
      return #call('ZRANGEBYLEX', key, '[' .. from .. name, '(' .. from .. sub(name, 1, -2) .. '0', 'LIMIT', 0, 1) == 0
    end
    open = not there[1] and none(QUEUE, '') and none(OWN, FS .. 'x' .. FS) and none(OWN, FS .. 's' .. FS)
  end
elseif open then
  there = call('HMGET', LOCKS, name, '')
end
if open and not call('ZSCORE', ENDED, gid) then
  local record = there[1]
  open = not record
  if record and mode == 's' and match(record, '^s%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d\30') then
    open = not find(record, FS .. gid .. FS, 1, true)
      and not find(record .. RS, '\31[1-9]%d*\31%d+\31[^\31\30]*\30') -- an own time that may be over
      and tonumber(call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')[2]) > now
      and #call('ZRANGEBYLEX', QUEUE, '[' .. name .. FS, '(' .. name .. ' ', 'LIMIT', 0, 1) == 0
  end
  local most = tonumber(ARGV[9]) -- which nobody has where all have less together, and that is quick to tell
  if open and (call('ZCARD', OWN) < most or call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') < most) then
    local token = following(there[2])
    call('HSET', LOCKS, '', token, name, mode .. token .. (record and sub(record, 18) or '') .. RS
      .. token .. FS .. gid .. FS .. o .. FS .. format('%.0f', now) .. FS
      .. (ttl > 0 and format('%.0f', now + ttl) or '0') .. FS .. '0' .. FS .. ARGV[11])
    if is_within then
      call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. name, 0, FS .. mode .. FS .. name)
    else
      call('ZADD', OWN, 0, mine .. FS .. gid .. FS .. name)
    end
    if tonumber(token) == now_us then return now_us end
    return {'G', token, ttl > 0 and ttl or -1, now_us}
  end
  if record and ARGV[7] == '1' and not is_area then
--@include _plain_wait.lua
  end
end
--@include _ended.lua
--@include _step.lua
--@include _answers.lua
if not lives(o) then return {'L', why(o)} end
local over = ended(o, gid)
if over then return over end
asking = gid
local w = with_wants({name = name, mode = mode, rank = ARGV[6], key = ARGV[6] .. '9999999999999999', gid = gid, sid = sid,
  o = o, ttl = ttl, since = format('%.0f', now), ear = ARGV[10], flow = ARGV[11], kind = ARGV[12] or '-'})
local keeps = tonumber(ARGV[13] or 0)
w.till = keeps > 0 and now + keeps or 0
clear(wanted(w))
local h = grant_of(o, gid)
if h then return granted(h) end
local before = waiting(gid)
if before and unplaced(before) then -- more were lost than `clear` saw to
  drop(before)
  before = nil
end
over = ended(o, gid)
if before then
  if before.ear ~= w.ear or before.till ~= w.till then -- it may be heard elsewhere now, and stays for longer
    leave(before)
    before.ear, before.till = w.ear, w.till
    join(before)
  elseif not in_line(before) then
    join(before)
    for _, s in ipairs(states(wanted(before))) do s.dirty = true end
  end
  commit()
  h = grant_of(o, gid)
  return h and granted(h) or queued(before)
end
if over then
  commit()
  return over
end
if full(o, w.kind == 'o' and 1 or #w.wants, tonumber(ARGV[9])) then
  commit()
  return {'M'}
end
local wants = room(w, false)
if wants then
  h = grant(w, wants)
  commit()
  return granted(h)
end
if ARGV[7] ~= '1' then
  commit()
  return with_holders({'H', now_us}, holders_of(wanted(w)))
end
w.seq = token()
join(w)
--@include _deadlock.lua
local links = cycle(w)
if links then leave(w) end
commit()
if links then return with_holders({'D', now_us, links}, holders_of(wanted(w))) end
return queued(w)

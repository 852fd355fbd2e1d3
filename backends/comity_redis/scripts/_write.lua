-- What every write of the state begins with: it was applied before, or must not be, or goes on below.
-- ARGV  agent id, incarnation, request id, key, version expected (16 digits; '': any), fence: token (16 digits; '': none),
--       then of the grant that must be held its name, request and session o ('': none needed)
-- Answers  {'W', version, us}, {'C', entry or false, us} (has another version), {'F', newest token, 1 when the grant is
--          over} or {'L', reason} (session over)
-- Keeps  K1, X4
--@include _keys.lua
local PUBLISHED = KEYS[#KEYS]
local o, id, key, token_given = ARGV[1] .. FS .. ARGV[2], FS .. ARGV[3], ARGV[4], ARGV[6]
local before = match(call('HGET', IDS, id) or '', '^!(%d+)$')
if before then return {'W', before, now_us} end
local alive = call('ZSCORE', LIVE, o)
if not alive or tonumber(alive) <= now then
  return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
end
--@include _ended.lua
--@include _events.lua
--@include _counter.lua
--@include _changes.lua
local h = head(key)
if ARGV[9] ~= '' then
  local record, held, newest = call('HGET', LOCKS, ARGV[7]) or '', false, NEVER
  for tok, gid, who, due in string.gmatch(record, '\30(%d+)\31([^\31]*)\31([^\31]*\31[^\31]*)\31%d+\31(%d+)\31') do
    if (due == '0' or tonumber(due) > now) and living(who) then
      held = held or (tok == token_given and gid == ARGV[8] and who == ARGV[9] and sub(record, 1, 1) == 'x'
        and call('ZSCORE', OWN, who .. FS .. 'q' .. FS .. gid .. FS .. ARGV[7])) -- else the server lost it
      if tok > newest then newest = tok end
    end
  end
  if not held then return {'F', newest, 1} end
end
local fence = h and h.fence or NEVER
if token_given ~= '' then
  if token_given < fence then return {'F', fence, 0} end
  fence = token_given
end
local there = h and stands(h)
if ARGV[5] ~= '' and ARGV[5] ~= (there and h.version or NEVER) then
  local entry = there and call('ZRANGEBYLEX', STATE, '[' .. key .. FS, '(' .. key .. ' ', 'LIMIT', 0, 1)[1]
  return {'C', entry or false, now_us}
end
local changes = {}

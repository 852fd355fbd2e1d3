-- Read an inbox, oldest first, and mark what is answered as seen; or only look into it.
-- KEYS  see _signals.lua
-- ARGV  agent id, incarnation ('' to look only), number after which to read (16 digits), most signals, most bytes,
--       how many types are wanted (0: any), the types, the numbers that were given before (16 digits)
-- Answers  {'R', {signal, its record, its payload}...} or {'L', reason} (session over)
-- Keeps  G1, G3, X7, X13: its first write only removes, so that a full server takes it
--@include _signals.lua
local agent, limit, most = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local reading = ARGV[2] ~= ''
if reading then
  local why = why_over(agent .. FS .. ARGV[2])
  if why then return {'L', why} end
  call('ZREM', INBOX, '')
end
local first_given = 7 + tonumber(ARGV[6])
local wanted, given = first_given == 7, {}
if not wanted then
  wanted = {}
  for at = 7, first_given - 1 do wanted[ARGV[at]] = true end
end
for at = first_given, #ARGV do given[ARGV[at]] = true end

local answer, size = {'R'}, 0
local mine = agent .. FS .. 'n'
local from, till = '(' .. mine .. FS .. ARGV[3] .. ' ', '(' .. mine .. ' '

-- Take one into the answer; true when that is full.
local function take(member, id)
  local s = known(id)
  local key = s and (s.body == '' and id or s.body)
  if not s or s.ended ~= '0' or call('HEXISTS', BODIES, key) == 0 then
    if reading then
      corrupt()
      call('ZREM', INBOX, member)
    end
    return false
  end
  size = size + call('HSTRLEN', BODIES, key)
  if #answer > 1 and size > most then return true end
  answer[#answer + 1] = {id, text_of(s), call('HGET', BODIES, key)}
  if reading and s.state == 'q' then
    s.state, s.seen = 's', moment(now)
    call('HSET', SIGNALS, id, text_of(s))
  end
  return #answer > limit
end

local ended = false
while not ended do
  local members = call('ZRANGEBYLEX', INBOX, from, till, 'LIMIT', 0, 64)
  local expired = {}
  for _, member in ipairs(members) do
    local seq, until_ms, id, kind = match(member, '^(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)$', #mine + 2)
    if not seq then
      if reading then
        corrupt()
        call('ZREM', INBOX, member)
      end
    elseif tonumber(until_ms) <= now then
      expired[#expired + 1] = member
    elseif not given[seq] and (wanted == true or wanted[kind]) then
      ended = take(member, id)
      if ended then break end
    end
  end
  -- The rest of their end is left to later steps, but no reader passes over them again.
  if reading and #expired > 0 then call('ZREM', INBOX, unpack(expired)) end
  if #members < 64 then break end
  from = '(' .. members[#members]
end
if reading then trim(agent, 4) end
return answer

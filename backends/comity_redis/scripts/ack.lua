-- Take signals out of a session's inbox for good.
-- KEYS  see _signals.lua
-- ARGV  agent id, incarnation, the signals
-- Answers  {'A', 1 for each that is acknowledged now or was before, else 0} or {'L', reason} (session over)
-- Keeps  G1, X4, X13: its first write only removes, so that a full server takes it
--@include _signals.lua
local why = why_over(ARGV[1] .. FS .. ARGV[2])
if why then return {'L', why} end
call('ZREM', INBOX, '')
local answer = {'A'}
for at = 3, #ARGV do
  local s = known(ARGV[at])
  if s and s.to == ARGV[1] and s.ended == '0' then
    if tonumber(s.till) > now then finish(s, 'a', moment(now)) else finish(s, 'e', s.till) end
  end
  answer[#answer + 1] = s and s.to == ARGV[1] and s.state == 'a' and 1 or 0
end
trim(ARGV[1], 2 + #ARGV)
return answer

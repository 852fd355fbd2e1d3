-- Read what a heartbeat would answer, and move nothing.
-- ARGV  agent id, incarnation
-- Answers  {1, version, live sessions, ms to the earliest deadline of another session or a claim or false, ms to its
--          own} or {0, reason}
-- Keeps  S13: who acts for a session and does nothing just now learns whether it lives, and does not keep it alive
--@include _keys.lua
local o = ARGV[1] .. FS .. ARGV[2]
local alive, lost = call('ZSCORE', LIVE, o), false
if alive and tonumber(alive) > now then
--@include _kept.lua
  if not lost then
--@include _beat.lua
    told[5] = tonumber(alive) - now
    return told
  end
end
--@include _gone.lua

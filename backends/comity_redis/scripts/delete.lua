-- Take a key away.
-- KEYS  those of the namespace, then published
-- ARGV  as _write.lua has it
-- Answers  as _write.lua has it; version 0 when the key was not there
-- Keeps  K1, X4
--@include _write.lua
call('ZREM', LIVE, '') -- so that a full server takes what follows
local version = NEVER
if there then
  h.fence = fence
  changes[1], version = take_away(key, h, 'state.deleted', ARGV[1])
else
  if h and h.version ~= NEVER then
    changes[1] = take_over(key, h)
    h = head(key)
  end
  if token_given ~= '' then -- that it is not there is what this token says of it
    if h then clear_away(key, h) end
    bury(key, fence)
  end
end
--@include _written.lua

-- What a living session `o` is told, `kept` being its lease and version: how many live, and when somebody is due next.
local first = call('ZRANGE', LIVE, 0, 1, 'WITHSCORES')
local other = first[1] == o and first[4] or first[2]
if first[1] == o and not first[4] then other = nil end
--@include _tasks_due.lua
other = tonumber(other or nil)
if tasks_due and (not other or tasks_due < other) then other = tasks_due end
local told = {1, tonumber(kept[2] or 0) or 0, call('ZCOUNT', LIVE, '(' .. format('%.0f', now), '+inf'),
  other and other - now or false}

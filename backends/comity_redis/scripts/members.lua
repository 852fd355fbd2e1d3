-- Tell whether the membership is still the one known, or became another by steps that told of it.
-- ARGV  the version known
-- Answers  {1 when it is, 0 when it is another, -1 when somebody is due and may have to be left out; version; place in
--          the system topic}
-- Keeps  S4: the sessions themselves are read beside scripts, never through one
--@include _keys.lua
local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
local version = call('HGET', META, 'members') or '0'
local state = version == ARGV[1] and 1 or 0
if first[2] and tonumber(first[2]) <= now then state = -1 end
return {state, version, call('HGET', META, 'topic:comity')}

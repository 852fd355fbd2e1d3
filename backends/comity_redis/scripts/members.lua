-- Tell whether the membership is still the one known.
-- ARGV  the version known
-- Answers  {1 when it is and nobody is due, else 0; version; place in the system topic}
-- Keeps  S4: the sessions themselves are read beside scripts, never through one
--@include _keys.lua
local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
local version = call('HGET', META, 'members') or '0'
local same = version == ARGV[1] and (not first[2] or tonumber(first[2]) > now)
return {same and 1 or 0, version, call('HGET', META, 'topic:comity')}

-- Read one live session afresh.
-- ARGV  agent id
-- Answers  {record, deadline in ms} or false
-- Keeps  S5
--@include _keys.lua
local record = call('HGET', RECORDS, ARGV[1])
local inc = record and match(record, '^([^\31]*)\31')
local at = inc and call('ZSCORE', LIVE, ARGV[1] .. FS .. inc)
if not at or tonumber(at) <= now then return false end
return {record, at}

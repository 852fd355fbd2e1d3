-- Delete some ends that are too old, and with them tasks that are done.
-- KEYS  the fixed ones, payloads
-- ARGV  most age in ms
-- Answers  how many
-- Keeps  T5
--@include _keys.lua
--@include _ended.lua
--@include _tasks.lua
local T = tasks()
local gone = T.trim_old(tonumber(ARGV[1]), 256)
T.commit()
return gone

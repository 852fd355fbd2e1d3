-- Do away with signals that have expired, whoever they were for.
-- KEYS  see _signals.lua
-- ARGV  how many at most
-- Answers  how many
-- Keeps  X13: its first write only removes, so that a full server takes it
--@include _signals.lua
call('ZREM', INBOX, '')
return trim('', tonumber(ARGV[1]))

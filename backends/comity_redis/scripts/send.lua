-- Put a signal into the inbox of one agent and wake its session.
-- KEYS  see _signals.lua
-- ARGV  sender's agent id, incarnation, signal, recipient, '1' when that need not live, type, payload, ttl in ms,
--       most signals in an inbox
-- Answers  {'S', us}, {'N'} (the recipient does not live), {'F'} (its inbox is full), {'L', reason} (the sender
--          is over)
-- Keeps  G1, G2, X4: what is known of the signal is what keeps it from being sent again
--@include _signals.lua
--@include _delivery.lua
local id, to, ttl = ARGV[3], ARGV[4], tonumber(ARGV[8])
if call('HEXISTS', SIGNALS, id) == 1 then return {'S', now_us} end
local why = why_over(ARGV[1] .. FS .. ARGV[2])
if why then return {'L', why} end
local inc = match(call('HGET', LEASES, to) or '', '^([^\31]*)\31')
local o = inc and to .. FS .. inc
if ARGV[5] == '' and (not o or why_over(o)) then return {'N'} end
if full(to, tonumber(ARGV[9])) then return {'F'} end
deliver(id, to, o, '', ARGV[1], ARGV[6], ttl)
call('HSET', BODIES, id, ARGV[7])
trim(to, 4)
return {'S', now_us}

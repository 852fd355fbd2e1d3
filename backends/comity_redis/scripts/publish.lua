-- Append an event to a topic, numbered by this step, and trim the topic to its retention.
-- KEYS  live, ids, meta, topics, published, the topic's stream
-- ARGV  agent id or '', incarnation, publication, topic, type, payload, most events, most age in ms
-- Answers  {epoch, number, us} or {'L', reason} (session over)
-- Keeps  E1, E2, E4 (one small step whatever the topic holds), X4: a retry answers the first number
local LIVE, IDS, META, TOPICS, PUBLISHED, STREAM = unpack(KEYS)
local FS = '\31'
local call, format, match, sub = redis.call, string.format, string.match, string.sub
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)
local id, field, age = FS .. ARGV[3], 'topic:' .. ARGV[4], tonumber(ARGV[8])

local epoch, number = match(call('HGET', IDS, id) or '', '^!(%d+)\31(%d+)$')
if epoch then return {epoch, number, now_us} end
if ARGV[1] ~= '' then
  local o = ARGV[1] .. FS .. ARGV[2]
  local alive = call('ZSCORE', LIVE, o)
  if not alive or tonumber(alive) <= now then
    return {'L', match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')}
  end
end

local marked, kept, marks, keep
-- First of all the number is written: on a full server this fails and nothing else has happened. Then the
-- event; how a stream says that it does not take the number is only known from its not being taken.
local function append()
  call('HSET', META, field, table.concat({epoch, format('%.0f', number), format('%.0f', marked),
    format('%.0f', kept), marks}, FS))
  if number == 1 then call('DEL', STREAM) end
  local answer = redis.pcall('XADD', STREAM, 'MAXLEN', '~', ARGV[7], format('%.0f-0', number),
    't', ARGV[5], 'a', format('%.0f', now), 's', ARGV[1], 'p', ARGV[6])
  return not (type(answer) == 'table' and answer.err)
end

epoch, number, marked, kept, marks = match(call('HGET', META, field) or '',
  '^(%d+)\31(%d+)\31(%d+)\31(%d+)\31([%d: ]*)$')
if epoch then
  number, marked, kept = tonumber(number) + 1, tonumber(marked), tonumber(kept)
else
  epoch, number, marked, kept, marks = format('%.0f', now_us), 1, 0, 0, ''
end
-- What is too old is known by the marks, of which about eight are kept: no event is looked at.
while true do
  local at, upto, rest = match(marks, '^(%d+):(%d+) (.*)$')
  if not at or tonumber(at) >= now - age then break end
  keep, marks = tonumber(upto) + 1, rest
end
local renew = kept < now + age
if renew or now - marked >= age / 8 then
  marked, marks = now, marks .. format('%.0f:%.0f ', now, number)
end
-- It is kept a good deal longer than its events, so that this changes once in a while only.
if renew then kept = now + age + math.ceil(age / 8) + 60000 end
if not append() then
  epoch, number, keep = format('%.0f', now_us), 1, nil
  marks = format('%.0f:1 ', now)
  append()
end
if keep then call('XTRIM', STREAM, 'MINID', format('%.0f', keep)) end
call('PEXPIREAT', STREAM, format('%.0f', kept))
if renew then
  call('ZADD', TOPICS, kept + math.max(age, 3600000), ARGV[4])
  for _, topic in ipairs(call('ZRANGEBYSCORE', TOPICS, '-inf', now, 'LIMIT', 0, 4)) do
    call('HDEL', META, 'topic:' .. topic)
    call('ZREM', TOPICS, topic)
  end
end

local text = format('%.0f', number)
call('ZADD', PUBLISHED, now, id)
call('HSET', IDS, id, '!' .. epoch .. FS .. text)
if now_us % 8 == 0 then -- as `mark` does
  local old = call('ZRANGEBYSCORE', PUBLISHED, '-inf', now - 90000, 'LIMIT', 0, 16)
  if #old == 0 and call('ZCARD', PUBLISHED) > 200000 then old = call('ZRANGE', PUBLISHED, 0, 15) end
  if #old > 0 then
    call('ZREM', PUBLISHED, unpack(old))
    call('HDEL', IDS, unpack(old))
  end
end
local prefix = sub(META, 1, -5)
call('PUBLISH', prefix .. 'p:' .. sub(STREAM, #prefix + 3), text)
return {epoch, text, now_us}

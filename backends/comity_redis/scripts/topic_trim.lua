-- Forget topics whose streams are gone by their own time.
-- KEYS  meta, topics
-- ARGV  how many at most
-- Answers  how many
local META, TOPICS = unpack(KEYS)
local clock = redis.call('TIME')
local now = math.floor((clock[1] * 1000000 + clock[2]) / 1000)
local gone = redis.call('ZRANGEBYSCORE', TOPICS, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, topic in ipairs(gone) do
  redis.call('HDEL', META, 'topic:' .. topic)
  redis.call('ZREM', TOPICS, topic)
end
return #gone

-- What is remembered of the past: ended ids and past claims. Both end with a release, so this is
-- apart from _step.lua, which a plain release does not need.

-- How an id ended; kept as the fraction of its time in ENDED.
local WITHDRAWN, RELEASED, TAKEN = 0, 0.25, 0.5

-- Mark `id` (a request, or a session `sid FS incarnation`) as over, for at least 90 s (X4). Each mark
-- takes away up to four that are too old or too many, so that no step ever has much to clear.
local function mark(id, how, reason)
  call('ZADD', ENDED, now + how, id)
  if reason then call('HSET', IDS, id, '!' .. reason) end
  local old = call('ZRANGEBYSCORE', ENDED, '-inf', now - 90000, 'LIMIT', 0, 4)
  if #old == 0 and call('ZCARD', ENDED) > 200000 then old = call('ZRANGE', ENDED, 0, 3) end
  if #old > 0 then
    call('ZREM', ENDED, unpack(old))
    call('HDEL', IDS, unpack(old))
  end
end

-- The last record of `name` with its grant counter goes. Verdicts given under it keep it; those that were
-- outdated already must not seem to be current again.
local function outdate(name, counter)
  local verdicts = call('HGET', VERDICTS, name)
  if verdicts and sub(verdicts, 1, 16) ~= counter then call('HDEL', VERDICTS, name) end
end

-- Take session `o` out of the past claims of `name`.
local function forget(name, o)
  local record = call('HGET', PAST, name)
  if not record then return end
  local claim = FS .. o .. RS
  local at = find(record, claim, 18, true)
  if at then record = sub(record, 1, at - 17) .. sub(record, at + #claim) end
  if #record > 17 then
    call('HSET', PAST, name, record)
  else
    call('HDEL', PAST, name)
    if call('HEXISTS', LOCKS, name) == 0 then outdate(name, sub(record, 1, 16)) end
  end
end

-- Keep that session `o` had `name` with `token` (16 digits), and the name's grant counter: for the
-- latest 16 sessions of a name and the latest 1,000 names of a session (C3).
local function remember(name, counter, token, o)
  local record = call('HGET', PAST, name)
  local claim, mine = FS .. o .. RS, o .. FS .. 'p' .. FS
  local known = false
  if record and #record > 17 and sub(record, 17, 17) == RS then
    local at = find(record, claim, 18, true)
    if at then
      known = true
      local before = sub(record, at - 16, at - 1)
      if before > token then token = before end
      if before ~= token then call('ZREM', OWN, mine .. before .. FS .. name) end
      record = sub(record, 18, at - 17) .. sub(record, at + #claim)
    else
      record = sub(record, 18)
    end
  else
    record = ''
  end
  record = record .. token .. claim
  local _, sessions = string.gsub(record, RS, RS)
  if sessions > 16 then
    local oldest, theirs
    for past, who in string.gmatch(record, '(%d+)\31([^\30]*)\30') do
      if not oldest or past < oldest then oldest, theirs = past, who end
    end
    local drop = oldest .. FS .. theirs .. RS
    local at = find(record, drop, 1, true)
    record = sub(record, 1, at - 1) .. sub(record, at + #drop)
    call('ZREM', OWN, theirs .. FS .. 'p' .. FS .. oldest .. FS .. name)
  end
  call('HSET', PAST, name, counter .. RS .. record)
  call('ZADD', OWN, 0, mine .. token .. FS .. name)
  if not known and call('ZLEXCOUNT', OWN, '[' .. mine, '(' .. o .. FS .. 'p ') > 1000 then
    local entry = call('ZRANGEBYLEX', OWN, '[' .. mine, '(' .. o .. FS .. 'p ', 'LIMIT', 0, 1)[1]
    call('ZREM', OWN, entry)
    forget(sub(entry, #mine + 18), o)
  end
end

-- Past claims: that a session had a name, until it ends (C3). A claim is the text
-- token FS entry FS o RS, tokens being 16 digits; `entry` stands in the session's own list.

-- The last record of `name` with its grant counter goes. Verdicts given under it keep it; those that were
-- void already must not seem to stand again.
local function outdate(name, counter)
  local verdicts = call('HGET', VERDICTS, name)
  if verdicts and sub(verdicts, 1, 16) ~= counter then call('HDEL', VERDICTS, name) end
end

-- Drop the claim of session `o` on `name`.
local function forget(name, o)
  local record = call('HGET', PAST, name)
  if not record then return end
  local claim = FS .. o .. RS
  local at = find(record, claim, 18, true)
  if at then record = sub(record, 1, at - 34) .. sub(record, at + #claim) end
  if #record > 17 then
    call('HSET', PAST, name, record)
  else
    call('HDEL', PAST, name)
    if call('HEXISTS', LOCKS, name) == 0 then outdate(name, sub(record, 1, 16)) end
  end
end

-- Drop the oldest of a session's claims. Its list is in the order in which claims began; one that was
-- renewed since goes back to where it belongs, so only what is looked at is ever moved.
local function forget_oldest(o)
  local mine = o .. FS .. 'p' .. FS
  for _ = 1, 16 do
    local text = call('ZRANGEBYLEX', OWN, '[' .. mine, '(' .. o .. FS .. 'p ', 'LIMIT', 0, 1)[1]
    local entry, name = sub(text, #mine + 1, #mine + 16), sub(text, #mine + 18)
    call('ZREM', OWN, text)
    local record = call('HGET', PAST, name)
    local at = record and find(record, FS .. o .. RS, 18, true)
    local token = at and sub(record, at - 33, at - 18)
    if not at or token == entry then return forget(name, o) end
    call('ZADD', OWN, 0, mine .. token .. FS .. name)
    call('HSET', PAST, name, sub(record, 1, at - 17) .. token .. sub(record, at))
  end
end

-- Keep that session `o` had `name` with `token`, and the name's grant counter: for the latest 16
-- sessions of a name and the latest 1,000 names of a session.
local function remember(name, counter, token, o)
  local record = call('HGET', PAST, name)
  if not record or sub(record, 17, 17) ~= RS then record = counter .. RS end
  local claim, mine = FS .. o .. RS, o .. FS .. 'p' .. FS
  local at = find(record, claim, 18, true)
  if at then
    local before = sub(record, at - 33, at - 18)
    if before > token then token = before end
    call('HSET', PAST, name, counter .. sub(record, 17, at - 34) .. token .. sub(record, at - 17))
    return
  end
  record = sub(record, 18) .. token .. FS .. token .. claim
  local _, sessions = string.gsub(record, RS, RS)
  if sessions > 16 then
    local oldest, drop, entry, theirs
    for text, past, began, who in string.gmatch(record, '((%d+)\31(%d+)\31([^\30]*)\30)') do
      if not oldest or past < oldest then oldest, drop, entry, theirs = past, text, began, who end
    end
    local from = find(record, drop, 1, true)
    record = sub(record, 1, from - 1) .. sub(record, from + #drop)
    call('ZREM', OWN, theirs .. FS .. 'p' .. FS .. entry .. FS .. name)
  end
  call('HSET', PAST, name, counter .. RS .. record)
  call('ZADD', OWN, 0, mine .. token .. FS .. name)
  if call('ZLEXCOUNT', OWN, '[' .. mine, '(' .. o .. FS .. 'p ') > 1000 then forget_oldest(o) end
end

-- Decisions on record about a name. They stand while its grant counter is the one they were made under, and
-- both their sessions live.

-- The grant counter of a name whose lock record was written: there, or in what is left of the name.
local function counter_of(name)
  for _, text in ipairs({sub(call('HGET', LOCKS, name) or '', 2), call('HGET', PAST, name) or '',
    call('HGET', VERDICTS, name) or ''}) do
    local counter = match(text, '^(%d+)\30')
    if counter and #counter == 16 then return counter end
  end
  return NEVER
end

-- Text as {winner, loser, strategy, reason}, nil when it is no decision or one of the two does not live.
local function verdict(text)
  local winner, loser, strategy, reason =
    match(text, '^([^\31]+\31[^\31]+)\31([^\31]+\31[^\31]+)\31([^\31]*)\31([^\31]*)$')
  if not winner then
    corrupt()
  elseif lives(winner) and lives(loser) then
    return {text = text, winner = winner, loser = loser, strategy = strategy, reason = reason}
  end
end

-- Those that stand on `name`, in order, and by pair: `by[one .. RS .. other]`, both ways.
local function verdicts_on(name, counter)
  local list, by = {}, {}
  local record = call('HGET', VERDICTS, name)
  if record and sub(record, 1, 17) == counter .. RS then
    for text in string.gmatch(sub(record, 18), '[^\30]+') do
      local v = verdict(text)
      if v then
        list[#list + 1] = v
        by[v.winner .. RS .. v.loser], by[v.loser .. RS .. v.winner] = v, v
      end
    end
  end
  return list, by
end

-- A session's list of names with verdicts grows with each name it contests: beyond 1,000 take out those that
-- are void, and so many others that this need not be done again at once.
local function thin_out(o, present)
  local mine = o .. FS .. 'v' .. FS
  if call('ZLEXCOUNT', OWN, '[' .. mine, '(' .. o .. FS .. 'v ') <= 1000 then return end
  local kept = 0
  for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine, '(' .. o .. FS .. 'v ')) do
    local name = sub(text, #mine + 1)
    local record = call('HGET', VERDICTS, name)
    local void = not record or sub(record, 1, 16) ~= counter_of(name)
    if not void and (name == present or kept < 900) then
      kept = kept + 1
    else
      call('ZREM', OWN, text)
      if void then call('HDEL', VERDICTS, name) else drop_verdicts(name, o) end
    end
  end
end

local function put_on_record(name, counter, list, new)
  local texts = {counter}
  for _, v in ipairs(list) do texts[#texts + 1] = v.text end
  call('HSET', VERDICTS, name, table.concat(texts, RS))
  for _, v in ipairs(new) do
    for _, o in ipairs({v.winner, v.loser}) do
      call('ZADD', OWN, 0, o .. FS .. 'v' .. FS .. name)
      thin_out(o, name)
    end
  end
end

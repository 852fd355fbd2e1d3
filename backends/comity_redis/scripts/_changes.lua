-- The shared state inside a step: what is known of a key, taking it away, and telling every change (K1-K4).
-- Needs _events.lua and _counter.lua.

-- Whether session `o` lives.
local function living(o)
  local at = call('ZSCORE', LIVE, o)
  return at and tonumber(at) > now
end

-- Whether changes of `key` are told to nobody: the service writes its own often (`UNTOLD_KEYS`).
local function untold(key) return sub(key, 1, 15) == 'comity:service/' end

-- What a server that lost HEADS still tells of `key`: all but its fence, in STATE; nil when it is not there.
local function head_by_value(key)
  local text = call('ZRANGEBYLEX', STATE, '[' .. key .. FS, '(' .. key .. ' ', 'LIMIT', 0, 1)[1]
  local version, due, owner =
    match(text or '', '^(%d+)\31%d+\31(%d+)\31[^\31]*\31([^\31]*\31[^\31]*)\31', #key + 2)
  return version and {version = version, due = tonumber(due), fence = NEVER, owner = owner ~= FS and owner or ''}
end

-- What is known of `key`: version (NEVER: it is gone, only its fence is remembered), due in ms (0: none), fence,
-- owner ('' or o). nil when nothing is known.
local function head(key)
  local text = call('HGET', HEADS, key)
  if not text then return head_by_value(key) end
  local version, due, fence, owner = match(text, '^(%d+)\31(%d+)\31(%d+)\31(.*)$')
  if not version or #version ~= 16 or #fence ~= 16 then
    redis.pcall('HINCRBY', META, 'corrupt', 1)
    return head_by_value(key)
  end
  local of_it = key .. FS .. version
  if version ~= NEVER and call('ZLEXCOUNT', STATE, '[' .. of_it .. FS, '(' .. of_it .. ' ') == 0 then -- its value is lost
    return fence ~= NEVER and {version = NEVER, due = 0, fence = fence, owner = ''} or nil
  end
  return {version = version, due = tonumber(due), fence = fence, owner = owner}
end

local function stands(h)
  return h.version ~= NEVER and (h.due == 0 or h.due > now) and (h.owner == '' or living(h.owner))
end

-- A key in the timetable: of what expires ('d') or of fences to be forgotten ('x').
local function appointment(kind, due, key)
  return FS .. kind .. format('%016.0f', due) .. FS .. key
end

-- Take away all that says that `key` stands, but for its head.
local function clear_away(key, h)
  call('ZREMRANGEBYLEX', STATE, '[' .. key .. FS, '(' .. key .. ' ')
  if h.due > 0 then call('ZREM', STATE, appointment(h.version == NEVER and 'x' or 'd', h.due, key)) end
  if h.owner ~= '' then call('ZREM', OWN, h.owner .. FS .. 'e' .. FS .. key) end
end

-- Remember of a key that is gone the newest token that wrote it, for a day.
local function bury(key, fence)
  if fence == NEVER then
    call('HDEL', HEADS, key)
    return
  end
  local till = now + 86400000
  call('HSET', HEADS, key, table.concat({NEVER, format('%.0f', till), fence, ''}, FS))
  call('ZADD', STATE, 0, appointment('x', till, key))
end

-- Take `key` away; the change to tell (nil: none), and the version it made.
local function take_away(key, h, kind, sender, more)
  clear_away(key, h)
  bury(key, h.fence)
  local version = token()
  if untold(key) then return nil, version end
  return {kind, sender, '{"key":' .. json(key) .. format(',"version":%.0f', tonumber(version)) .. (more or '') .. '}'}, version
end

-- Take away what is over already, so that its end is told before what comes next.
local function take_over(key, h)
  if h.due > 0 and h.due <= now then return (take_away(key, h, 'state.expired', '')) end
  return (take_away(key, h, 'state.ended', '', ',"reason":"expired"'))
end

-- Take away up to `most` keys past their time, and forget as many fences; the changes to tell, and how many expired.
local function expire(most)
  local changes, count = {}, 0
  for _, kind in ipairs({'d', 'x'}) do
    local till = '(' .. FS .. kind .. format('%016.0f', now + 1)
    if kind == 'x' and call('ZLEXCOUNT', STATE, '[' .. FS .. 'x', '(' .. FS .. 'y') > 100000 then till = '(' .. FS .. 'y' end
    for _, text in ipairs(call('ZRANGEBYLEX', STATE, '[' .. FS .. kind, till, 'LIMIT', 0, most)) do
      call('ZREM', STATE, text)
      local due, key = match(text, '^\31.(%d+)\31(.*)$')
      local h = key and head(key)
      if not key then
        redis.pcall('HINCRBY', META, 'corrupt', 1)
      elseif h and h.due == tonumber(due) and (h.version == NEVER) == (kind == 'x') then
        if kind == 'x' then
          call('HDEL', HEADS, key)
        else
          changes[#changes + 1], count = take_away(key, h, 'state.expired', ''), count + 1
        end
      end
    end
  end
  return changes, count
end

-- Append changes {type, sender, payload} to their topic, numbered by this step (E2). It keeps the newest 10,000, or
-- fewer when those have more than 16 MiB: each mark says how many bytes there were up to a number.
local function tell_changes(changes)
  if #changes == 0 then return end
  local epoch, number, bytes, marks =
    match(call('HGET', META, 'topic:comity.state') or '', '^(%d+)\31(%d+)\31(%d+)\31([%d: ]*)$')
  local anew = not epoch
  if anew then epoch, number, bytes, marks = format('%.0f', now_us), 0, 0, '' end
  local first = tonumber(number) + 1
  number, bytes = first - 1, tonumber(bytes)
  for _, change in ipairs(changes) do
    local before = bytes
    number, bytes = number + 1, bytes + #change[3]
    if math.floor(bytes / 1048576) > math.floor(before / 1048576) then
      marks = marks .. format('%.0f:%.0f ', bytes, number)
    end
  end
  local keep
  while true do
    local upto, at, rest = match(marks, '^(%d+):(%d+) (.*)$')
    if not upto or bytes - tonumber(upto) < 16777216 then break end
    keep, marks = tonumber(at) + 1, rest
  end
  local text = format('%.0f', number)
  call('HSET', META, 'topic:comity.state', table.concat({epoch, text, format('%.0f', bytes), marks}, FS))
  if anew then call('DEL', CHANGES) end
  for at, change in ipairs(changes) do
    local answer = redis.pcall('XADD', CHANGES, 'MAXLEN', '~', '10000', format('%.0f-0', first + at - 1),
      't', change[1], 'a', format('%.0f', now), 's', change[2], 'p', change[3])
    if type(answer) == 'table' and answer.err and not anew then -- as `publish` does
      call('HDEL', META, 'topic:comity.state')
      return tell_changes(changes)
    end
  end
  if keep then call('XTRIM', CHANGES, 'MINID', format('%.0f', keep)) end
  call('PUBLISH', PREFIX .. 'p:comity.state', text)
end

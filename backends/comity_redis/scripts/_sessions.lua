-- The ends of sessions.

-- The lease of an agent id: incarnation, ttl, interval, start; nil when there is none to be read.
local function lease(sid)
  return match(call('HGET', LEASES, sid) or '', '^([^\31]*)\31(%d+)\31(%d+)\31(%d+)\31')
end

-- Why an id or a session is over, '' when that is not known.
local function why(id)
  local text = call('HGET', IDS, id)
  if text and sub(text, 1, 1) == '!' then return sub(text, 2) end
  return deadlines[id] and 'expired' or ''
end

local function drop_verdicts(name, o)
  local record = call('HGET', VERDICTS, name)
  if not record then return end
  local kept = {}
  for part in string.gmatch(record, '[^\30]+') do
    if not find(FS .. part .. FS, FS .. o .. FS, 1, true) then kept[#kept + 1] = part end
  end
  if #kept > 1 then
    call('HSET', VERDICTS, name, table.concat(kept, RS))
  else
    call('HDEL', VERDICTS, name)
  end
end

-- End session `o` (sid FS incarnation) and all that is its own, in this step (S7, S8); `by` evicts it, and `because`.
local function finish(o, reason, by, because)
  deadlines[o] = 0
  call('ZREM', LIVE, o)
  local sid, inc = match(o, '^([^\31]+)\31([^\31]+)$')
  if not sid then
    corrupt()
    return
  end
  local present, _, _, started = lease(sid)
  if present ~= inc then -- the server lost it, and another may have come since
    local other, start = match(call('HGET', RECORDS, sid) or '', '^([^\31]*)\31(%d+)\31')
    started = other == inc and start
  end
  if not present or present == inc then
    call('HDEL', LEASES, sid, sid .. FS .. 'v')
    call('HDEL', RECORDS, sid)
  end
  local mine = call('ZRANGEBYLEX', OWN, '[' .. o .. FS, '(' .. o .. ' ')
  for from = 1, #mine, 1000 do
    call('ZREM', OWN, unpack(mine, from, math.min(from + 999, #mine)))
  end
  local changes = {}
  for _, text in ipairs(mine) do
    local kind, rest = sub(text, #o + 2, #o + 2), sub(text, #o + 4)
    if kind == 'q' then
      local gid, name = match(rest, '^([^\31]*)\31(.*)$')
      local w = gid and waiting(gid)
      if w then
        give_up(w)
      elseif gid and name ~= '' then
        local s = state(name)
        for _, list in ipairs({s.holders, s.lapsed}) do
          local _, at = holding(s, gid, list)
          if at then table.remove(list, at) end
        end
        s.dirty, s.unsaved = true, true
      end
    elseif kind == 'p' then
      forget(sub(rest, 18), o)
    elseif kind == 'v' then
      drop_verdicts(rest, o)
    elseif kind == 'e' then
      local h = head(rest)
      if h and h.owner == o then
        changes[#changes + 1] = take_away(rest, h, 'state.ended', '', ',"reason":' .. json(reason))
      end
    elseif kind == 't' then
      tasks().lose(rest, 'its session ended (' .. reason .. ')')
    elseif kind == 'c' then
      tasks().out_of_line(o, rest)
    end
  end
  tell_changes(changes)
  mark(o, reason == 'departed' and RELEASED or TAKEN, by and reason .. ' by ' .. by .. ': ' .. because or reason)
  count(META, 'members')
  if call('EXISTS', LIVE) == 0 then call('HDEL', META, 'interval') end
  local departed = reason == 'departed'
  publish('session.left', departed and sid or by or '',
    format('{"agent_id":%s,"started_ms":%s,"reason":%s', json(sid), started or '0', json(reason))
      .. (by and ',"by":' .. json(by) .. ',"why":' .. json(because) or '') .. '}')
  tell(o, 'n')
end

-- Whether session `o` lives; for steps that end something of it: past its deadline it is ended here.
local function settled(o)
  if lives(o) then return true end
  if deadline(o) then
    finish(o, 'expired')
    commit()
  end
  return false
end

-- What tells whether a name overlaps one of these.
local function overlapping(list)
  local set, wide = {}, {}
  for _, name in ipairs(list) do
    set[name] = true
    if find(name, '/', 1, true) then
      for _, area in ipairs(areas().above(name)) do set[area] = true end
      if areas().is_area(name) then wide[#wide + 1] = name end
    end
  end
  return function(name)
    if set[name] then return true end
    for _, area in ipairs(wide) do
      if sub(name, 1, #area) == area then return true end
    end
    return false
  end
end

-- Whether session `o` holds a name that is `near`, or waits for one.
local function has_any(o, near)
  local mine = o .. FS .. 'q'
  for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
    local gid, name = match(text, '^([^\31]*)\31(.*)$', #mine + 2)
    local list = name ~= '' and {name} or gid and names_of(o, gid) or {}
    for _, each in ipairs(list) do
      if near(each) then return true end
    end
  end
  return false
end

-- Do away with what is over among the holders and waiters of these names, and hand them on: leases whose own time
-- has run out, or that the server lost, places in line that were not kept, and of the sessions past their deadline the one longest so. The others count as gone all the same.
local function clear(list)
  local near, lapsed, known = nil, {}, {}
  for _, s in ipairs(states(list)) do s.dirty = true end
  for _, s in ipairs(around(list)) do
    for _, h in ipairs(s.lapsed) do
      if lives(h.o) and not known[h.token] then
        known[h.token], lapsed[#lapsed + 1] = true, h
      end
    end
  end
  if #lapsed > 1 then table.sort(lapsed, function(a, b) return a.token < b.token end) end
  for _, h in ipairs(lapsed) do lose(h, h.is_lost and 'the server lost it' or 'ttl', '') end
  local lost = call('ZRANGEBYLEX', QUEUE, '[' .. FS, '(' .. FS .. format('%016.0f', now + 1), 'LIMIT', 0, 64)
  all_in_place = #lost == 0
  for _, text in ipairs(lost) do
    local w, wanted_here = waiting(sub(text, 19)), false
    if not w or text ~= appointment(w) then
      call('ZREM', QUEUE, text)
    elseif lives(w.o) then
      near = near or overlapping(list)
      for _, want in ipairs(w.wants) do wanted_here = wanted_here or near(want.name) end
      if wanted_here then drop(w) end
    end
  end
  for _, o in ipairs(call('ZRANGEBYSCORE', LIVE, '-inf', now, 'LIMIT', 0, 8)) do
    near = near or overlapping(list)
    if has_any(o, near) then
      finish(o, 'expired')
      break
    end
  end
  commit()
end

-- Milliseconds to the earliest deadline of a session other than `o`, or of the tasks, nil without any.
local function next_deadline(o)
  local first = call('ZRANGE', LIVE, 0, 1, 'WITHSCORES')
  local at = tonumber(first[first[1] == o and 4 or 2] or nil)
--@include _tasks_due.lua
  if tasks_due and (not at or tasks_due < at) then at = tasks_due end
  return at and at - now
end

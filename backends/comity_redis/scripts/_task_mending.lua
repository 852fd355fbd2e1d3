-- What a server that evicts has lost of tasks in part: it takes whole keys. TASKS tells all; what is gone of LINES and of
-- waiting claims is made anew from it, and a claim that its session's list lacks is over (as a lease is). Part of `tasks`.
-- A mark in TASKS names the one that LINES and OWN have. After a loss every task is looked at again, as 0 FS id FS l FS.

local function mark_anew()
  local old = call('HGET', TASKS, FS .. 'm') or ''
  call('ZREM', LINES, 'm' .. FS .. old)
  call('ZREM', OWN, FS .. 'm' .. FS .. old)
  local text = token()
  call('HSET', TASKS, FS .. 'm', text)
  call('ZADD', LINES, 0, 'm' .. FS .. text)
  call('ZADD', OWN, 0, FS .. 'm' .. FS .. text)
end

-- The first task of a queue: from now on a loss can be seen.
function T.mark()
  if call('HEXISTS', TASKS, FS .. 'm') == 0 then mark_anew() end
end

-- Have what is claimed looked at by the next that tidies up: nobody lives, so its session was lost.
function T.doubt()
  if #call('ZRANGEBYLEX', LINES, '[c' .. FS, '(c ', 'LIMIT', 0, 1) > 0 then
    call('ZREM', OWN, FS .. 'm' .. FS .. (call('HGET', TASKS, FS .. 'm') or ''))
  end
end

local function add(members)
  for from = 1, #members, 1000 do
    local part = {}
    for at = from, math.min(from + 999, #members) do
      part[#part + 1] = 0
      part[#part + 1] = members[at]
    end
    call('ZADD', LINES, unpack(part))
  end
end

-- Look whether anything was lost. If so, waiting claims stand in line again, and tasks are noted to be looked at.
function T.mend()
  local text = call('HGET', TASKS, FS .. 'm')
  if not text or (call('ZSCORE', LINES, 'm' .. FS .. text) and call('ZSCORE', OWN, FS .. 'm' .. FS .. text)) then return end
  mark_anew()
  local lines = {}
  for _, o in ipairs(call('ZRANGE', LIVE, 0, -1)) do
    local mine = o .. FS .. 'c'
    for _, entry in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
      local gid, seq, ear, queue = match(entry, '^([^\31]*)\31(%d+)\31([^\31]*)\31(.*)$', #mine + 2)
      if gid then lines[#lines + 1] = table.concat({'w', queue, seq, gid, o, ear}, FS) end
    end
  end
  for _, field in ipairs(call('HKEYS', TASKS)) do
    if sub(field, 1, 1) ~= FS then lines[#lines + 1] = table.concat({'0', field, 'l', ''}, FS) end
  end
  add(lines)
end

-- Whether the claim on a task stands: its session lives, and has it.
local function stands(t)
  local o = t.sid .. FS .. t.inc
  return call('ZSCORE', LIVE, o) and call('ZSCORE', OWN, table.concat({o, 't', t.gid, t.id}, FS))
end

-- Put a task where its status says; `inform` as in `_task_ends.lua`.
local function look_again(id, inform)
  local t = T.read(id)
  if not t then return end
  call('ZADD', LINES, 0, 'q' .. FS .. t.queue)
  for needed in string.gmatch(call('HGET', TASKS, FS .. 'd' .. FS .. id) or '', '[^\31]+') do
    local other = T.read(needed)
    if other and other.status ~= 'f' then call('ZADD', LINES, 0, 'p' .. FS .. needed .. FS .. id) end
    if not other or other.status == 'f' or other.status == 'x' then inform(id, needed, other and other.status or 'r') end
  end
  t = T.read(id)
  local status = t.status
  if status == 'c' and not stands(t) then return T.give_back(t, 'the server lost the claim') end
  call('ZADD', LINES, 0, place(t))
  if status == 'r' then
    fresh[#fresh + 1] = t.queue
  elseif status == 'd' then
    T.watch(t.queue)
  elseif status == 'c' and t.ends > 0 then
    call('ZADD', LINES, 0, '1' .. FS .. format('%014.0f', t.ends) .. FS .. id)
    T.watch(t.queue)
  elseif (status == 'f' or status == 'x') and t.batch ~= '' then
    call('ZADD', LINES, 0, table.concat({'g', t.batch, t.number, id}, FS))
  end
end

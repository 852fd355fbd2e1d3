-- How answers about locks are written; replies.py of the adapter (answers.py) reads them.

-- Append what is known of every holder: its text, and the milliseconds until it ends.
local function with_holders(answer, s)
  answer[#answer + 1] = s.mode or 'x'
  for _, h in ipairs(s.holders) do
    answer[#answer + 1] = h.raw
    answer[#answer + 1] = h.ends - now
  end
  return answer
end

local function granted(h)
  return {'G', h.token, h.due > 0 and h.due - now or -1, now_us}
end

-- The answer for a request id that is over, nil when it is not. One that holds `s` or waits is not, whatever
-- its mark: another session may have released what is not its own.
local function ended(s, gid)
  local score = call('ZSCORE', ENDED, gid)
  if not score or waiting(gid) or (s and (holding(s, gid) or holding(s, gid, s.lapsed))) then return nil end
  local taken = tonumber(score) % 1 == TAKEN
  return {'E', taken and 1 or 0, taken and why(gid) or '', now_us}
end

-- Whether session `o` has as many requests as it may (L15). Leases whose own time is over do not count,
-- which matters only when it comes to the last one.
local function full(o, most)
  local mine = o .. FS .. 'q'
  if call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') < most then return false end
  local count = 0
  for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
    local gid, name = match(text, '^([^\31]*)\31(.*)$', #mine + 2)
    local h = holding(state(name), gid)
    if (h and (h.due == 0 or h.due > now)) or waiting(gid) then count = count + 1 end
  end
  return count >= most
end

local function queued(s, w)
  local place = 0
  local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) > now then
    place = call('ZLEXCOUNT', QUEUE, '[' .. s.name .. FS, '[' .. w.member)
  else -- some in the queue may be over
    walk(s.name, function(other)
      place = place + 1
      return other.gid == w.gid
    end)
  end
  local soonest
  for _, h in ipairs(s.holders) do
    if not soonest or h.ends < soonest then soonest = h.ends end
  end
  return with_holders({'Q', place, soonest and soonest - now or 1000, now_us}, s)
end

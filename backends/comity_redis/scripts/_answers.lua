-- How answers about locks are written; replies.py of the adapter (answers.py) reads them.

local MOST_SHOWN = 100

-- Who keeps others from these names, in the order of the grants; one lease may hold several of them.
local function holders_of(list)
  local found = {}
  local there = around(list)
  for _, s in ipairs(there) do
    for _, h in ipairs(s.holders) do found[#found + 1] = h end
  end
  if #there > 1 then
    table.sort(found, function(a, b) return a.token < b.token or (a.token == b.token and a.name < b.name) end)
  end
  return found
end

-- Append what is known of holders, at most so many: mode and name, then text, and the milliseconds until each ends.
local function with_holders(answer, found, most)
  for at = 1, math.min(#found, most or MOST_SHOWN) do
    local h = found[at]
    answer[#answer + 1] = h.mode .. h.name
    answer[#answer + 1] = h.raw
    answer[#answer + 1] = h.ends - now
  end
  return answer
end

local function granted(h)
  return {'G', h.token, h.due > 0 and h.due - now or -1, now_us, h.name}
end

-- The answer for a request id that is over, nil when it is not. One that holds or waits is not, whatever
-- its mark: another session may have released what is not its own.
local function ended(o, gid)
  local score = call('ZSCORE', ENDED, gid)
  if not score or waiting(gid) or grant_of(o, gid) then return nil end
  local taken = tonumber(score) % 1 == TAKEN
  return {'E', taken and 1 or 0, taken and why(gid) or '', now_us}
end

-- Whether session `o` would have more than it may (L15) with `more` names. One that waits for any of several counts
-- once. Leases whose own time is over do not count, which matters only when it comes to the last one.
local function full(o, more, most)
  local mine = o .. FS .. 'q'
  if call('ZLEXCOUNT', OWN, '[' .. mine .. FS, '(' .. mine .. ' ') + more <= most then return false end
  local count = more
  for _, text in ipairs(call('ZRANGEBYLEX', OWN, '[' .. mine .. FS, '(' .. mine .. ' ')) do
    local gid, name = match(text, '^([^\31]*)\31(.*)$', #mine + 2)
    local w = waiting(gid)
    if w and not unplaced(w) or holding(state(name), gid) then count = count + 1 end
  end
  return count > most
end

-- The place in line of a request at one name.
local function place_at(w, want)
  local first = call('ZRANGE', LIVE, 0, 0, 'WITHSCORES')
  local wide = find(want.name, '/', 1, true)
  if all_in_place and (not wide or areas().is_alone(want.name)) and first[2] and tonumber(first[2]) > now then
    return call('ZLEXCOUNT', QUEUE, '[' .. want.name .. FS, '[' .. member(w, want))
  end
  local look = wide and areas().walk_around or walk
  local place, seen = 1, {} -- some in the queue may be over, and one may stand at several names
  look(want.name, function(other)
    if other.key >= w.key then return NEXT end
    if not seen[other.gid] then place = place + 1 end
    seen[other.gid] = true
  end)
  return place
end

local function queued(w)
  local place
  for _, want in ipairs(w.wants) do
    local at = place_at(w, want)
    if not place or (w.kind == 'o') == (at < place) then place = at end
  end
  local found, soonest = holders_of(wanted(w)), nil
  for _, h in ipairs(found) do
    if not soonest or h.ends < soonest then soonest = h.ends end
  end
  return with_holders({'Q', place, soonest and soonest - now or 1000, now_us}, found)
end

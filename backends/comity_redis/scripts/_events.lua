-- Events of the system topic and wake-ups. Wake-ups are hints: nobody hearing one is no error.

local PREFIX = sub(EVENTS, 1, -9) -- without 't:comity'

-- Text as a JSON string: stored text has no control characters, so only these two need a backslash.
local function json(text)
  return '"' .. string.gsub(text, '["\\]', '\\%0') .. '"'
end

-- Append an event to the system topic, numbered by this step (E2). A stream that does not take the next
-- number (somebody else wrote to it, or its bookkeeping is lost) is begun anew, under a new epoch.
local function publish(kind, sender, payload)
  local function append(number)
    return redis.pcall('XADD', EVENTS, 'MAXLEN', '~', '10000', format('%.0f-0', number),
      't', kind, 'a', format('%.0f', now), 's', sender, 'p', payload)
  end
  local epoch, number = match(call('HGET', META, 'topic:comity') or '', '^(%d+)\31(%d+)$')
  if epoch then
    number = tonumber(number) + 1
    local answer = append(number)
    if type(answer) == 'table' and answer.err then epoch = nil end
  end
  if not epoch then
    call('DEL', EVENTS)
    epoch, number = format('%.0f', now_us), 1
    append(number)
  end
  local text = format('%.0f', number)
  call('HSET', META, 'topic:comity', epoch .. FS .. text)
  call('PUBLISH', PREFIX .. 'p:comity', text)
end

-- Tell every listener of session `o`.
local function tell(o, message)
  call('PUBLISH', PREFIX .. 's:' .. o, message)
end

-- Whether a listener's process is there. PUBLISH answers the same; this asks without saying anything.
local function listens(ear)
  return ear == '' or call('PUBSUB', 'NUMSUB', PREFIX .. 'l:' .. ear)[2] > 0
end

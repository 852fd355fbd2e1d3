-- Signals: the keys that scripts about them take, what is known of one, and how it ends.
local LIVE, LEASES, IDS, META, INBOX, SIGNALS, BODIES, DUE, OVER = unpack(KEYS)
local FS, RS = '\31', '\30'
local call, format, match, sub = redis.call, string.format, string.match, string.sub
local clock = call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

-- A time as it stands in INBOX, in byte order: what is due then comes before it.
local function moment(ms)
  return format('%016.0f', ms)
end

local function corrupt()
  redis.pcall('HINCRBY', META, 'corrupt', 1)
end

-- Why session `o` does not live, nil when it does.
local function why_over(o)
  local alive = call('ZSCORE', LIVE, o)
  if alive and tonumber(alive) > now then return nil end
  return match(call('HGET', IDS, o) or '', '^!(.*)$') or (alive and 'expired' or '')
end

-- What is known of a signal, nil when nothing is; `ended` is '0' while it is in its inbox.
local function known(id)
  local state, to, seq, till, sent, seen, ended, body, sender, kind = match(call('HGET', SIGNALS, id) or '',
    '^([qsae])\31([^\31]+)\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)\31([^\31]*)$')
  if not state then return nil end
  return {id = id, state = state, to = to, seq = seq, till = till, sent = sent, seen = seen, ended = ended,
    body = body, sender = sender, kind = kind}
end

local function text_of(s)
  return table.concat({s.state, s.to, s.seq, s.till, s.sent, s.seen, s.ended, s.body, s.sender, s.kind}, FS)
end

local function entries(s)
  return s.to .. FS .. 'n' .. FS .. s.seq .. FS .. s.till .. FS .. s.id .. FS .. s.kind,
    s.to .. FS .. 'u' .. FS .. s.till .. FS .. s.id
end

-- Take a signal out of its inbox for good; what became of it is remembered for an hour.
local function finish(s, state, at)
  call('ZREM', INBOX, entries(s))
  call('ZREM', DUE, s.id)
  if s.body == '' then
    call('HDEL', BODIES, s.id)
  else -- shared by the signals of a broadcast; the last one takes it along
    local left = (tonumber(call('HGET', BODIES, s.body .. FS) or 0) or 0) - 1
    if left > 0 then
      call('HSET', BODIES, s.body .. FS, format('%.0f', left))
    else
      call('HDEL', BODIES, s.body, s.body .. FS)
    end
  end
  s.state, s.ended = state, at
  call('HSET', SIGNALS, s.id, text_of(s))
  call('ZADD', OVER, now + 3600000, s.id)
end

-- Do away with a few of what has expired, in the inbox of `to` and anywhere, and with a few of what is to be
-- forgotten: `most` of each, which is more than the step adds. Last in a step, as it makes room on a full server.
-- Returns how many had expired anywhere.
local function trim(to, most)
  local mine = to .. FS .. 'u' .. FS
  for _, entry in ipairs(call('ZRANGEBYLEX', INBOX, '[' .. mine, '(' .. mine .. moment(now + 1), 'LIMIT', 0, most)) do
    local s = known(sub(entry, #mine + 18))
    if s and s.ended == '0' then
      finish(s, 'e', s.till)
    else
      corrupt()
      call('ZREM', INBOX, entry)
    end
  end
  local due = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    local s = known(id)
    if s and s.ended == '0' then
      finish(s, 'e', s.till)
    else
      corrupt()
      call('ZREM', DUE, id)
    end
  end
  local old = call('ZRANGEBYSCORE', OVER, '-inf', now, 'LIMIT', 0, most)
  if #old == 0 and call('ZCARD', OVER) > 200000 then old = call('ZRANGE', OVER, 0, most - 1) end
  if #old > 0 then
    call('ZREM', OVER, unpack(old))
    call('HDEL', SIGNALS, unpack(old))
  end
  return #due
end

-- The breaker of a queue: a field of the plan, there only while something is wrong, so that what goes well writes nothing.
-- plan/breaker.py says what is bad.
local breakers = {} -- by queue; false: there is none

-- adapters/redis/records.py goes by the same rules.
local function sound_breaker(breaker)
  if not breaker or type(breaker.recent) ~= 'table' then return nil end
  for _, ending in ipairs(breaker.recent) do
    if type(ending) ~= 'table' or type(ending[1]) ~= 'string' or type(ending[2]) ~= 'boolean' then return nil end
  end
  for _, name in ipairs({'opened', 'pause_ms', 'retry_at'}) do
    if type(breaker[name]) ~= 'number' then return nil end
  end
  return type(breaker.canary) == 'string' and type(breaker.reason) == 'string' and breaker or nil
end

local function keep_breaker(queue, packed)
  if breakers[queue] == nil then breakers[queue] = packed and sound_breaker(record_of(packed)) or false end
  return breakers[queue]
end

local function read_breaker(queue)
  if breakers[queue] == nil then keep_breaker(queue, redis.call('HGET', p .. 'plan', 'breaker:' .. queue)) end
  return breakers[queue]
end

local function write_breaker(queue, breaker)
  breakers[queue] = breaker
  if breaker then
    redis.call('HSET', p .. 'plan', 'breaker:' .. queue, cjson.encode(breaker))
  else
    redis.call('HDEL', p .. 'plan', 'breaker:' .. queue)
  end
end

local function is_open(breaker)
  return breaker and breaker.opened > 0
end

local function close_breaker(queue, who, why)
  write_breaker(queue, false)
  journal('queue.resumed', '', who, why, cjson.encode({queue = queue}))
end

-- How many of the last endings are bad, and of how many different jobs.
local function failures(recent)
  local bad, jobs, seen = 0, 0, {}
  for _, ending in ipairs(recent) do
    if ending[2] then
      bad = bad + 1
      if not seen[ending[1]] then jobs, seen[ending[1]] = jobs + 1, true end
    end
  end
  return bad, jobs
end

local function note(queue, breaker, job, bad, reason)
  local recent = breaker and breaker.recent or {}
  table.insert(recent, {job, bad})
  if #recent > LIMITS.BREAKER_WINDOW then table.remove(recent, 1) end
  local failed, jobs = failures(recent)
  if failed == 0 then return write_breaker(queue, false) end
  local after = {recent = recent, opened = 0, pause_ms = 0, retry_at = 0, canary = '', reason = ''}
  if #recent >= LIMITS.BREAKER_LEAST and 2 * failed > #recent and jobs >= LIMITS.BREAKER_JOBS then
    after.opened, after.pause_ms, after.reason = now, LIMITS.BREAKER_PAUSE_MS, reason
    after.retry_at = now + after.pause_ms
    journal('queue.stopped', '', '', reason, cjson.encode({queue = queue}))
  end
  write_breaker(queue, after)
end

-- Notes an ending: it may stop its queue, or, of the one job that a stopped queue tries, let it go on. `bad` is nil
-- where an ending says nothing; `tried` is false where nothing was.
local function judge(record, def, bad, reason, tried)
  local breaker = read_breaker(def.queue)
  if is_open(breaker) then
    if record.canary ~= breaker.opened or not tried then return end
    if bad == false then return close_breaker(def.queue, '', '') end
    breaker.pause_ms = math.min(2 * breaker.pause_ms, LIMITS.BREAKER_CAP_MS)
    breaker.retry_at = now + breaker.pause_ms
    write_breaker(def.queue, breaker)
  elseif bad or (breaker and bad == false) then
    note(def.queue, breaker, record.job, bad, reason)
  end
end

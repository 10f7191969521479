-- The frontier: the smallest open phase, computed from `phases:open` at the end of every script that changes a job.
local flags = redis.call('HMGET', p .. 'plan', 'frontier', 'reached', 'loading', 'revision')
local front, reached = tonumber(flags[1] or -1), tonumber(flags[2] or -1)
local loading, loaded = flags[3] == '1', flags[4]
local awaiting = {}

local function phase_definition(id)
  local packed = redis.call('HGET', p .. 'phases', id)
  return packed and cjson.decode(packed)
end

local function is_vote(vote)
  return type(vote) == 'table' and type(vote.who) == 'string' and type(vote.why) == 'string' and type(vote.at) == 'number'
end

-- adapters/redis/records.py goes by the same rules.
local function sound_request(request)
  if not request or type(request.asked) ~= 'number' or type(request.author) ~= 'string' then return nil end
  if type(request.yes) ~= 'table' then return nil end
  if request.no == cjson.null then request.no = nil end
  if request.no ~= nil and not is_vote(request.no) then return nil end
  for _, vote in ipairs(request.yes) do
    if not is_vote(vote) then return nil end
  end
  return request
end

-- What a phase asks for its present jobs, new where it did not ask yet.
local function read_request(id, def, author)
  local packed = redis.call('HGET', p .. 'approvals', id)
  local request = packed and sound_request(record_of(packed))
  if request and request.digest == def.digest then return request end
  return {digest = def.digest, author = author, asked = 0, yes = {}}
end

local function write_request(id, request)
  redis.call('HSET', p .. 'approvals', id, cjson.encode(request))
  awaiting[id] = nil
end

local function awaits(phase)
  local id = text(phase)
  if awaiting[id] == nil then
    local def = phase_definition(id)
    awaiting[id] = false
    if def and def.approval then
      local request = read_request(id, def, '')
      awaiting[id] = request.no ~= nil or #request.yes < (def.persons or 1)
    end
  end
  return awaiting[id]
end

-- Nobody said enough in time, which means no. Once it was written down, no load with more time takes it back.
local function is_expired(def, request)
  if request.asked == 0 or request.no or #request.yes >= (def.persons or 1) then return false end
  return request.told or now >= request.asked + (def.expires_ms or LIMITS.APPROVAL_MS)
end

-- The clock of a request starts when its phase is first awaited.
local function ask(phase)
  if not awaits(phase) then return end
  local id = text(phase)
  local request = read_request(id, phase_definition(id), '')
  if request.asked > 0 then return end
  request.asked = now
  write_request(id, request)
  journal('phase.asked', '', '', '', '{"phase":' .. id .. '}')
end

local function wake(what)
  local list = p .. 'parked:' .. what
  if redis.call('EXISTS', list) == 0 then return end
  local number = redis.call('HINCRBY', p .. 'plan', 'woken', 1)
  redis.call('RENAME', list, p .. 'woken:' .. number)
  redis.call('RPUSH', p .. 'wake', number)
end

local function refresh_phase(id)
  local left = tonumber(redis.call('HGET', p .. 'counts', id .. ':open') or 0)
  local known = redis.call('HEXISTS', p .. 'phases', id) == 1
  if known and (left > 0 or awaits(tonumber(id))) then
    redis.call('ZADD', p .. 'phases:open', id, id)
  else
    redis.call('ZREM', p .. 'phases:open', id)
  end
end

-- Writes the counts that this script changed, and opens or closes their phases.
local function flush_counts()
  for field, by in pairs(counted) do
    if by ~= 0 and redis.call('HINCRBY', p .. 'counts', field, by) == 0 then
      redis.call('HDEL', p .. 'counts', field)
    end
  end
  for field in pairs(counted) do
    local phase = string.match(field, '^(%d+):open$')
    if phase then refresh_phase(phase) end
  end
  counted = {}
end

local function is_copied()
  return redis.call('HLEN', p .. 'state') <= LIMITS.CAPTURE_JOBS
end

-- A job that the plan no longer has is there only until its attempts end. No copy has it: who reads the copy comes too
-- late to know, and it would come back as an open one, or be missed among the definitions.
local function leave_out_removed(copy)
  local attempts = redis.call('HGETALL', p .. 'attempts')
  for i = 2, #attempts, 2 do
    local record = string.find(attempts[i], '"stopped":"removed"', 1, true) and record_of(attempts[i])
    if record and record.stopped == 'removed' then redis.call('HDEL', copy, record.job) end
  end
end

-- Holds fast where every job stands: copies that go by themselves, to be written as a snapshot by whoever reads them.
-- The jobs of a large plan are not copied: all others would wait for it.
local function capture(ttl_ms)
  local number = redis.call('HINCRBY', p .. 'plan', 'captures', 1)
  local at = p .. 'capture:' .. number .. ':'
  local copied = is_copied()
  local parts = {'plan', 'phases', 'approvals'}
  if copied then parts[4], parts[5] = 'state', 'evidence' end
  for _, part in ipairs(parts) do
    redis.call('COPY', p .. part, at .. part)
    redis.call('PEXPIRE', at .. part, ttl_ms)
  end
  if copied then leave_out_removed(at .. 'state') end
  local newest = redis.call('XREVRANGE', p .. 'journal', '+', '-', 'COUNT', 1)[1]
  redis.call('HSET', at .. 'plan', 'captured_at', text(now), 'captured_journal', newest and newest[1] or '0-0')
  if not copied then redis.call('HSET', at .. 'plan', 'captured_live', '1') end
  return number
end

local function drop_capture(number)
  local at = p .. 'capture:' .. number .. ':'
  redis.call('UNLINK', at .. 'plan', at .. 'phases', at .. 'approvals', at .. 'state', at .. 'evidence')
end

-- Before a phase is reached. Promotions that follow each other faster than heartbeats leave the newest captures.
local function capture_promotion()
  if not is_copied() then return end
  redis.call('RPUSH', p .. 'captures', capture(LIMITS.CAPTURE_KEPT_MS))
  if redis.call('LLEN', p .. 'captures') > LIMITS.CAPTURES then drop_capture(redis.call('LPOP', p .. 'captures')) end
end

local function advance_frontier()
  flush_counts()
  if loading or not loaded then return end -- a plan without phases yet is not sovereign
  local first = redis.call('ZRANGE', p .. 'phases:open', 0, 0)[1]
  local new = first and tonumber(first) or LIMITS.SOVEREIGN
  if new == front and new <= reached then return end
  local ahead_of = redis.call('ZRANGEBYSCORE', p .. 'phases:order', '(' .. text(reached), text(new), 'LIMIT', 0, 1)[1]
  if reached >= 0 and ahead_of then capture_promotion() end
  redis.call('HSET', p .. 'plan', 'frontier', text(new))
  -- A sovereign plan is past phases that it never had; those that are added then are reached all the same.
  local from = '(' .. text(math.min(front, reached))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', p .. 'phases:order', from, text(new))) do
    wake('phase:' .. id)
    if tonumber(id) > reached then
      reached = tonumber(id)
      redis.call('HSET', p .. 'plan', 'reached', id)
      journal('phase.reached', '', '', '', '{"phase":' .. id .. '}')
    end
  end
  if not first and front ~= new then
    redis.call('HSET', p .. 'plan', 'sovereign_at', text(now))
    journal('plan.sovereign', '', '', '', '{"imported":' .. text(redis.call('ZCARD', p .. 'imported')) .. '}')
  end
  front = new
  ask(new)
end

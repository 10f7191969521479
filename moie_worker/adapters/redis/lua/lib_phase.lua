-- The frontier: the smallest open phase, computed from `phases:open` at the end of every script that changes a job.
local flags = redis.call('HMGET', p .. 'plan', 'frontier', 'reached', 'loading', 'revision')
local front, reached = tonumber(flags[1] or -1), tonumber(flags[2] or -1)
local loading, loaded = flags[3] == '1', flags[4]
local awaiting = {}

local function awaits(phase)
  local id = text(phase)
  if awaiting[id] == nil then
    awaiting[id] = false
    local def = redis.call('HGET', p .. 'phases', id)
    if def then
      def = cjson.decode(def)
      local answer = redis.call('HGET', p .. 'approvals', id)
      answer = answer and cjson.decode(answer)
      awaiting[id] = def.approval and not (answer and answer.approved and answer.digest == def.digest)
    end
  end
  return awaiting[id]
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

local function advance_frontier()
  flush_counts()
  if loading or not loaded then return end -- a plan without phases yet is not sovereign
  local first = redis.call('ZRANGE', p .. 'phases:open', 0, 0)[1]
  local new = first and tonumber(first) or LIMITS.SOVEREIGN
  if new == front and new <= reached then return end
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
    journal('plan.sovereign', '', '', '', '{}')
  end
  front = new
end

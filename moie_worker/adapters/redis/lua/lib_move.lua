-- The only writer of places. A place that keeps an order has a sorted set; a job is in exactly one.
local TIMED = p .. 'timed'

local function order_key(def, place)
  if place == 'ready' then return p .. 'ready:' .. def.queue .. (def.cyclic and ':cyclic' or ':job') end
  if place == 'waiting' or place == 'sent' then return p .. place .. ':' .. def.queue end
  return place == 'timed' and TIMED or nil
end

-- Whether a command met a list of an earlier release, where lists were no sorted sets; then it is one from now on.
local function was_old(answer, key)
  if type(answer) ~= 'table' or not answer.err then return false end
  if not string.find(answer.err, 'WRONGTYPE', 1, true) then error(answer.err) end
  local jobs = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  for i, job in ipairs(jobs) do redis.call('ZADD', key, i, job) end
  return true
end

-- Takes a job from the list that it stands on: one at most, of what it once waited for.
local function unlist(job, def)
  local function remove(what)
    local list = p .. 'parked:' .. what
    if was_old(redis.pcall('ZREM', list, job), list) then redis.call('ZREM', list, job) end
  end
  if def.idle then return remove('action') end
  if not def.at_load then
    remove('phase:' .. text(def.phase))
    remove('approval:' .. text(def.phase))
  end
  for _, need in ipairs(def.needs) do remove('job:' .. need) end
end

-- `st.listed` is false where a job is on no list for sure: it is new, or its list was woken. To look would cost more.
local function leave(job, st, def)
  local key = order_key(def, st.place)
  if key then
    redis.call('ZREM', key, job)
  elseif st.place == 'parked' and st.listed ~= false then
    unlist(job, def)
  end
  st.listed = false
  count(def, st.place, -1)
end

-- A regression is over when its job is verified again, or taken out of the plan.
local function close_regression(job, def, place)
  if redis.call('ZREM', p .. 'regressed', job) == 0 then return end
  redis.call('HDEL', p .. 'evidence', def.reverified_by)
  if place == 'completed' then journal('job.recovered', job, '', '', '{}') end
end

local function enter(job, st, def, place, score)
  local key = order_key(def, place)
  if key then redis.call('ZADD', key, text(score), job) end
  count(def, place, 1)
  local was = st.place
  st.place, st.score = place, score
  if place ~= 'running' then st.token = '' end
  write_state(job, st)
  if place == 'completed' then
    if was ~= place then wake('job:' .. job) end
  elseif was == 'completed' then
    redis.call('ZREM', p .. 'imported', job)
  end
  if def.reverified_by and (place == 'completed' or place == 'cancelled') then close_regression(job, def, place) end
end

local function move(job, st, def, place, score)
  leave(job, st, def)
  enter(job, st, def, place, score or 0)
end

local function completed(job)
  local st = read_state(job)
  return st ~= nil and st.place == 'completed'
end

-- The first thing that a job waits for.
local function unmet(def)
  if def.idle then return 'action' end
  if not def.at_load then
    local limit = def.cyclic and reached or front
    if def.phase > limit then return 'phase:' .. text(def.phase) end
    if awaits(def.phase) then return 'approval:' .. text(def.phase) end
  end
  for _, need in ipairs(def.needs) do
    if not completed(need) then return 'job:' .. need end
  end
  return nil
end

-- Whether a parked job will be woken: it is on the list of something that is still to come. One look at each.
local function is_listed(job, def)
  local function waits(what)
    return redis.pcall('ZSCORE', p .. 'parked:' .. what, job) ~= false -- an error is a list of an earlier release
  end
  if def.idle then return waits('action') end
  if not def.at_load then
    if def.phase > (def.cyclic and reached or front) and waits('phase:' .. text(def.phase)) then return true end
    if awaits(def.phase) and waits('approval:' .. text(def.phase)) then return true end
  end
  for _, need in ipairs(def.needs) do
    if not completed(need) and waits('job:' .. need) then return true end
  end
  return false
end

local function park(job, st, def, what)
  if def.verifies then st.slot = 0 end -- it counts from when its job is verified
  move(job, st, def, 'parked')
  local list = p .. 'parked:' .. what
  if was_old(redis.pcall('ZADD', list, NOW, job), list) then redis.call('ZADD', list, NOW, job) end
  st.listed = true
end

local function ready(job, st, def, due)
  move(job, st, def, 'ready', due - def.priority * LIMITS.PRIORITY_MS)
end

local function route(job, st, def)
  local what = unmet(def)
  if what then
    park(job, st, def, what)
  elseif def.verifies and st.slot == 0 then
    st.slot = now + def.delay_ms
    move(job, st, def, 'timed', st.slot)
  elseif st.slot > now then
    move(job, st, def, 'timed', st.slot)
  else
    ready(job, st, def, now)
  end
end

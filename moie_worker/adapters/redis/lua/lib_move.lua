-- The only writer of places. A place that keeps an order has a sorted set; a job is in exactly one.
local TIMED = p .. 'timed'

local function order_key(def, place)
  if place == 'ready' then return p .. 'ready:' .. def.queue .. (def.cyclic and ':cyclic' or ':job') end
  if place == 'waiting' or place == 'sent' then return p .. place .. ':' .. def.queue end
  return place == 'timed' and TIMED or nil
end

local function leave(job, st, def)
  local key = order_key(def, st.place)
  if key then redis.call('ZREM', key, job) end
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
  if place == 'completed' and was ~= 'completed' then wake('job:' .. job) end
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

local function park(job, st, def, what)
  if def.verifies then st.slot = 0 end -- it counts from when its job is verified
  move(job, st, def, 'parked')
  redis.call('RPUSH', p .. 'parked:' .. what, job)
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

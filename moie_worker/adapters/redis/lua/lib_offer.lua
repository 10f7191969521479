-- The grouping of due jobs into hints.
local function expected_ms(queue)
  return tonumber(redis.call('HGET', p .. 'plan', 'estimate:' .. queue) or LIMITS.FIRST_ESTIMATE_MS)
end

local function shares(free, cyclic, plain)
  if not (cyclic and plain) then return free, free end
  if free > 1 then return math.max(1, math.floor(free * 3 / 4)), free end
  local turn = redis.call('HINCRBY', p .. 'plan', 'turns', 1)
  if turn % 4 == 0 then return 0, 1 end
  return 1, 1
end

-- Appends hints to `made`; true when all that was looked at is offered or parked, and more stands behind it.
local function group(jobs, key_of, most, limit, queue, few, name, made)
  local estimate, room, batch = expected_ms(queue), 0, nil
  read_ahead(jobs)
  for _, job in ipairs(jobs) do
    local st, def = job_at(key_of[job] or key_of[1], job, {ready = true, waiting = true})
    local what = st and unmet(def)
    if what then
      park(job, st, def, what)
    elseif st then
      local cost = st.ms > 0 and st.ms or estimate
      local alone = few or st.solo == 1
      if not batch or alone or cost > room or #batch > LIMITS.HINT_JOBS then
        if limit == 0 then return false end
        limit = limit - 1
        batch = {name .. '-' .. #made}
        made[#made + 1] = batch
        room = LIMITS.HINT_MS
      end
      batch[#batch + 1] = job
      room = alone and 0 or room - cost
      move(job, st, def, 'sent', now + LIMITS.RESERVE_MS)
    end
  end
  return #jobs >= most
end

local function fill(queue, free, name, made, alone)
  local cyclic_key, job_key = p .. 'ready:' .. queue .. ':cyclic', p .. 'ready:' .. queue .. ':job'
  local waiting_key = p .. 'waiting:' .. queue
  local look = '(' .. (redis.call('HGET', p .. 'plan', 'look_before') or '0')
  local cyclics, jobs = redis.call('ZCARD', cyclic_key), redis.call('ZCARD', job_key)
  local looked = redis.call('ZCOUNT', waiting_key, '-inf', look)
  if cyclics + jobs + looked == 0 then return false end
  local few = alone or cyclics + jobs + looked <= LIMITS.FEW
  local most = math.min(free * LIMITS.HINT_JOBS, LIMITS.RESERVE_JOBS)
  local cyclic_share, job_share = shares(free, cyclics > 0, jobs + looked > 0)
  local cyclic_jobs = redis.call('ZRANGE', cyclic_key, 0, most - 1)
  local more = group(cyclic_jobs, {cyclic_key}, most, cyclic_share, queue, few, name, made)
  local plain, key_of = redis.call('ZRANGE', job_key, 0, most - 1), {job_key}
  if #plain < most then
    local rest = redis.call('ZRANGEBYSCORE', waiting_key, '-inf', look, 'LIMIT', 0, most - #plain)
    for _, job in ipairs(rest) do
      plain[#plain + 1], key_of[job] = job, waiting_key
    end
  end
  return group(plain, key_of, most, math.min(job_share, free - #made), queue, few, name, made) or more
end

-- A queue that a mass failure stopped offers one job after each pause.
local function try_one(queue, breaker, name, made)
  fill(queue, 1, name, made, true)
  if not made[1] then return end
  breaker.canary, breaker.retry_at = made[1][1], now + breaker.pause_ms
  write_breaker(queue, breaker)
end

-- Maintenance before an offer, and the grouping of jobs into hints.
local function each_due(key, limit, act)
  local due = redis.call('ZRANGEBYSCORE', key, '-inf', limit, 'LIMIT', 0, LIMITS.BATCH + 1)
  for i = 1, math.min(#due, LIMITS.BATCH) do
    local st = read_state(due[i])
    act(due[i], st, definition(due[i], st))
  end
  return #due > LIMITS.BATCH
end

local function drain()
  for _ = 1, LIMITS.BATCH do
    local number = redis.call('LINDEX', p .. 'wake', 0)
    if not number then return false end
    local job = redis.call('LPOP', p .. 'woken:' .. number)
    if redis.call('EXISTS', p .. 'woken:' .. number) == 0 then redis.call('LPOP', p .. 'wake') end
    local st = job and read_state(job)
    if st and st.place == 'parked' then route(job, st, definition(job, st)) end
  end
  return redis.call('EXISTS', p .. 'wake') == 1
end

local function maintain(queue)
  local vain = each_due(p .. 'sent:' .. queue, '(' .. text(now), function(job, st, def) ready(job, st, def, now) end)
  local woken = drain()
  local come = each_due(p .. 'timed', text(now), function(job, st, def) ready(job, st, def, st.score) end)
  return vain or woken or come
end

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

-- Appends hints to `made`; true when some of what was looked at had to be parked, and more stands behind it.
local function group(jobs, most, limit, queue, few, name, made)
  local estimate, room, batch, parked = expected_ms(queue), 0, nil, 0
  for _, job in ipairs(jobs) do
    local st = read_state(job)
    local def = definition(job, st)
    local what = unmet(def)
    if what then
      park(job, st, def, what)
      parked = parked + 1
    else
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
      st.offers = st.offers + 1
      move(job, st, def, 'sent', now + LIMITS.RESERVE_MS)
    end
  end
  return parked > 0 and #jobs >= most
end

local function fill(queue, free, name, made)
  local cyclic_key, job_key = p .. 'ready:' .. queue .. ':cyclic', p .. 'ready:' .. queue .. ':job'
  local waiting_key = p .. 'waiting:' .. queue
  local look = '(' .. (redis.call('HGET', p .. 'plan', 'look_before') or '0')
  local cyclics, jobs = redis.call('ZCARD', cyclic_key), redis.call('ZCARD', job_key)
  local looked = redis.call('ZCOUNT', waiting_key, '-inf', look)
  if cyclics + jobs + looked == 0 then return false end
  local few = cyclics + jobs + looked <= LIMITS.FEW
  local most = free * LIMITS.HINT_JOBS
  local cyclic_share, job_share = shares(free, cyclics > 0, jobs + looked > 0)
  local more = group(redis.call('ZRANGE', cyclic_key, 0, most - 1), most, cyclic_share, queue, few, name, made)
  local plain = redis.call('ZRANGE', job_key, 0, most - 1)
  if #plain < most then
    local rest = redis.call('ZRANGEBYSCORE', waiting_key, '-inf', look, 'LIMIT', 0, most - #plain)
    for _, job in ipairs(rest) do plain[#plain + 1] = job end
  end
  return group(plain, most, math.min(job_share, free - #made), queue, few, name, made) or more
end

-- Maintenance before an offer. What stands in an order without being there is taken out: one bad entry stops nobody.
local function job_at(key, job, places)
  local st = read_state(job)
  if st and places[st.place] and definition_text(job, st.drev) then return st, definition(job, st) end
  redis.call('ZREM', key, job)
  journal('job.repaired', job, '', 'stood in an order and is not there', '{}')
end

local function each_due(key, place, limit, act)
  local due = redis.call('ZRANGEBYSCORE', key, '-inf', limit, 'LIMIT', 0, LIMITS.BATCH + 1)
  read_ahead(due)
  for i = 1, math.min(#due, LIMITS.BATCH) do
    local st, def = job_at(key, due[i], {[place] = true})
    if st then act(due[i], st, def) end
  end
  return #due > LIMITS.BATCH
end

-- Some jobs of a list that was woken, those that came first.
local function pop(list, count)
  local found, jobs = redis.pcall('ZPOPMIN', list, count), {}
  if was_old(found, list) then found = redis.call('ZPOPMIN', list, count) end
  for i = 1, #found, 2 do jobs[#jobs + 1] = found[i] end
  return jobs
end

local function drain()
  local left = LIMITS.BATCH
  while left > 0 do
    local number = redis.call('LINDEX', p .. 'wake', 0)
    if not number then return false end
    local jobs = pop(p .. 'woken:' .. number, left)
    if #jobs < left then redis.call('LPOP', p .. 'wake') end
    left = left - #jobs
    read_ahead(jobs)
    for _, job in ipairs(jobs) do
      local st = read_state(job)
      if st and st.place == 'parked' then
        st.listed = false
        route(job, st, definition(job, st))
      end
    end
  end
  return redis.call('EXISTS', p .. 'wake') == 1
end

local function maintain(queue)
  local late = '(' .. NOW
  local vain = each_due(p .. 'sent:' .. queue, 'sent', late, function(job, st, def) ready(job, st, def, now) end)
  local woken = drain()
  local come = each_due(p .. 'timed', 'timed', NOW, function(job, st, def) ready(job, st, def, st.score) end)
  return vain or woken or come
end

-- Where jobs stand: each is looked for in everything that could hold it. Writes nothing.
-- KEYS plan
-- ARGV queues (job…)
-- RETURNS a JSON text for each job
-- USES time state phase move attempt
local orders = {'timed'}
for _, queue in ipairs(cjson.decode(ARGV[1])) do
  for _, order in ipairs({'ready:' .. queue .. ':cyclic', 'ready:' .. queue .. ':job', 'waiting:' .. queue,
    'sent:' .. queue}) do orders[#orders + 1] = order end
end

local function found(job)
  local holding = {}
  for _, order in ipairs(orders) do
    if redis.call('ZSCORE', p .. order, job) then holding[#holding + 1] = order end
  end
  return holding
end

local function is_leased(job, st)
  local record = read_attempt(st.token)
  return record and record.job == job and redis.call('ZSCORE', LEASES, st.token) ~= false
end

-- Evidence begins with the token that it belongs to, or with how often it held since.
local function verified_by(job)
  local token, at = string.match(redis.call('HGET', p .. 'evidence', job) or '', '^{[^{]-"token":"([^"]*)","at":(%d+)')
  return token, at
end

local function standing(job, st, def)
  local own = order_key(def, st.place)
  local row = {place = st.place, token = st.token, phase = def.verifies and 0 or def.phase,
    kind = def.verifies and 'look' or def.cyclic and 'cyclic' or 'job',
    order = own and string.sub(own, #p + 1) or ''}
  if st.place == 'parked' then
    row.waits_for, row.listed = unmet(def) or '', is_listed(job, def)
    row.woken = redis.call('EXISTS', p .. 'wake') == 1
  end
  if st.place == 'running' then row.leased = is_leased(job, st) end
  if st.place == 'dead' then row.letter = redis.call('EXISTS', p .. 'dead:job:' .. job) == 1 end
  if st.place == 'completed' then row.verified, row.at = verified_by(job) end
  return row
end

local jobs, rows = {unpack(ARGV, 2)}, {}
read_ahead(jobs)
for i, job in ipairs(jobs) do
  local st = read_state(job)
  local row = st and definition_text(job, st.drev) and standing(job, st, definition(job, st)) or {}
  row.known, row.orders = st ~= nil, found(job)
  row.regressed = redis.call('ZSCORE', p .. 'regressed', job) ~= false
  rows[i] = cjson.encode(row)
end
return rows

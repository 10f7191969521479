-- What must hold of one job and of the running attempts, and how it is put right.
local function stands(key, job)
  return redis.call('ZSCORE', key, job) ~= false
end

-- A job that is not where its state says.
local function misplaced(st, def, job)
  local key = order_key(def, st.place)
  if key then return not stands(key, job) end
  if st.place == 'running' then
    return not stands(p .. 'leases', st.token) or redis.call('HEXISTS', p .. 'attempts', st.token) == 0
  end
  if st.place ~= 'parked' or redis.call('EXISTS', p .. 'wake') == 1 then return false end -- it may be woken already
  return not is_listed(job, def)
end

-- A job that stands in an order besides its own place is taken out of it.
local function strays(st, def, job)
  local found, own = 0, order_key(def, st.place)
  for _, place in ipairs({'timed', 'ready', 'waiting', 'sent'}) do
    local key = order_key(def, place)
    if key ~= own then found = found + redis.call('ZREM', key, job) end
  end
  return found > 0
end

-- A running attempt without a lease would never be missed.
local function lease_again()
  if redis.call('HLEN', p .. 'attempts') == redis.call('ZCARD', p .. 'leases') then return end
  for _, token in ipairs(redis.call('HKEYS', p .. 'attempts')) do
    redis.call('ZADD', p .. 'leases', 'NX', text(now), token)
  end
end

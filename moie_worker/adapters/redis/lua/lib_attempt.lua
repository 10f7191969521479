-- Running attempts: `leases` orders them by the end of their lease, `attempts` says what they are.

local ATTEMPTS, LEASES = p .. 'attempts', p .. 'leases'
local by_job -- tokens of each job, read once in a script however many jobs ask

local attempts_ahead = {} -- records that were read ahead

local function read_attempt(token)
  local record = attempts_ahead[token]
  if record then return record end
  local packed = redis.call('HGET', ATTEMPTS, token)
  return packed and cjson.decode(packed)
end

-- Reads attempts and their jobs, some hundred at most.
local function read_attempts_ahead(tokens)
  if #tokens < 2 then return end
  local jobs = {}
  for i, packed in ipairs(redis.call('HMGET', ATTEMPTS, unpack(tokens))) do
    local record = packed and cjson.decode(packed)
    if record then
      attempts_ahead[tokens[i]] = record
      jobs[#jobs + 1] = record.job
    end
  end
  read_ahead(jobs)
end

local function write_attempt(token, record)
  redis.call('HSET', ATTEMPTS, token, cjson.encode(record))
end

-- Begins with a removal: a script whose first write adds is refused when Redis is full.
local function drop_attempt(token)
  by_job, attempts_ahead[token] = nil, nil
  redis.call('HDEL', ATTEMPTS, token)
  redis.call('ZREM', LEASES, token)
end

-- The job of an attempt. One that is gone or cannot be read, as after somebody wrote into Redis by hand, stops no other.
local function job_of(record)
  local st = read_state(record.job)
  if st and definition_text(record.job, st.drev) then return st, definition(record.job, st) end
  return nil
end

local function read_tokens()
  by_job = {}
  for _, token in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local record = read_attempt(token)
    if record then
      by_job[record.job] = by_job[record.job] or {}
      table.insert(by_job[record.job], token)
    end
  end
end

local function tokens_of(job, st, def)
  if not def.cyclic then return st.place == 'running' and {st.token} or {} end
  if not by_job then read_tokens() end
  return by_job[job] or {}
end

local function stop_attempts(job, st, def, why)
  for _, token in ipairs(tokens_of(job, st, def)) do
    local record = read_attempt(token)
    record.stopped = why
    write_attempt(token, record)
  end
end

-- A job that the plan no longer has is there only until its attempts end.
local function is_removed(job, st, def)
  for _, token in ipairs(tokens_of(job, st, def)) do
    if read_attempt(token).stopped == 'removed' then return true end
  end
  return false
end

local function forget(job, st, def)
  leave(job, st, def)
  remove_state(job)
  redis.call('HDEL', p .. 'evidence', job)
  redis.call('HDEL', p .. 'defs:' .. text(st.drev), job)
  redis.call('SREM', p .. 'cyclics', job)
  redis.call('DEL', p .. 'cyc:' .. job, p .. 'runs:' .. job, p .. 'dead:job:' .. job)
  redis.call('ZREM', p .. 'dead', 'job:' .. job)
  redis.call('ZREM', p .. 'imported', job)
  if def.verifies then redis.call('ZREM', p .. 'regressed', def.verifies) end
end

local function start_anew(st)
  st.attempts, st.losses, st.first, st.solo = 0, 0, 0, 0
end

-- End attempts: place, counters, evidence, next slot, journal and frontier in one step, once.
-- KEYS plan
-- ARGV queue hint done (settlement JSON, evidence JSON, receipt JSON or nothing…)
-- RETURNS for each settlement: settled, again, cancelled, superseded, removed or stale
-- USES time dead runs state phase move attempt breaker ending reverify
local queue, answers, estimates = ARGV[1], {}, {}
local EVIDENCE, stamp = p .. 'evidence', '","at":' .. NOW

local function place(job, st, def, this)
  if this.fresh then
    st.attempts = 0
    if this.duration_ms > 0 then st.losses = 0 end
  elseif this.outcome == 'cancelled' then
    st.attempts = st.attempts - 1
  end
  if def.cyclic and this.slot > 0 then st.slot = this.slot end
  if this.place == 'ready' then return ready(job, st, def, now) end
  local score = (this.place == 'timed' and this.due) or (this.place == 'waiting' and now) or 0
  move(job, st, def, this.place, score)
end

-- What a job took tells what it, and others of its queue, will take. Nothing is known before the first of them.
local function learn(st, def, ms)
  st.ms = ms
  local known = estimates[def.queue]
  if not known then
    local queued = redis.call('HMGET', p .. 'plan', 'estimate:' .. def.queue, 'breaker:' .. def.queue)
    known = tonumber(queued[1] or ms)
    keep_breaker(def.queue, queued[2])
  end
  estimates[def.queue] = 0.8 * known + 0.2 * ms
end

local function is_bad(this, def)
  if this.outcome == 'broken' then return true end
  if this.outcome == 'passed' or (this.outcome == 'failed' and not def.job.action) then return false end
  if this.reason ~= '' and this.outcome ~= 'refused' then return true end
  return nil
end

-- Notes an ending. True: its job waits instead of dying or of using up a retry, for its queue is stopped.
local function judge_settled(this, record, def)
  local bad = is_bad(this, def)
  local tried = this.outcome ~= 'cancelled' and this.outcome ~= 'refused'
  judge(record, def, bad, this.reason ~= '' and this.reason or this.message, tried)
  local costs = this.place == 'dead' or (this.place == 'timed' and not def.cyclic)
  return bad and costs and is_open(read_breaker(def.queue))
end

-- Tries a job again when its queue does, as if this had not been tried.
local function hold(job, st, def)
  st.attempts = st.attempts - 1
  journal('job.held', job, '', '', '{}')
  move(job, st, def, 'timed', math.max(now, read_breaker(def.queue).retry_at))
end

-- An attempt that ran nothing proves nothing: the evidence of the one before stays, with the token of this one.
local function keep_evidence(this, evidence, nothing, job)
  local before = nothing and redis.call('HGET', EVIDENCE, job)
  if before then
    before = string.gsub(before, '^{"ran_nothing":"[^"]*",', '{')
    redis.call('HSET', EVIDENCE, job, '{"ran_nothing":"' .. this.token .. '",' .. string.sub(before, 2))
    return
  end
  redis.call('HSET', EVIDENCE, job, '{"token":"' .. this.token .. stamp
    .. (evidence == '{}' and '}' or ',' .. string.sub(evidence, 2)))
end

local function settle(this, evidence, receipt, record, job, st, def)
  local nothing = evidence == '{}' and this.outcome == 'cancelled'
  keep_evidence(this, evidence, nothing, job)
  if this.duration_ms > 0 then -- else nothing ran that could have killed its worker
    st.solo = 0
    learn(st, def, this.duration_ms)
  end
  if this.run ~= nil then log_run(job, this.run, this.measured) end
  if receipt ~= '' then redis.call('XADD', p .. 'receipts', '*', 'r', receipt) end
  -- The receipt says that a look held; that an attempt was put off is said where it is decided.
  if not (def.verifies and this.outcome == 'passed') and not (nothing and not this.fresh) then
    journal('job.' .. this.outcome, job, record.worker, this.message, '{}')
  end
  if judge_settled(this, record, def) then
    hold(job, st, def)
    return 'settled'
  end
  if this.reason ~= '' then bury(job, st, this.reason) end
  if def.verifies and judge_job(this, record, job, st, def) then return 'settled' end
  if record.armed then write_state(job, st) else place(job, st, def, this) end
  return 'settled'
end

-- What a settlement leaves out, see plan/flow.py.
local USUAL = {__index = {due = 0, slot = 0, fresh = false, reason = '', message = '', measured = '{}', duration_ms = 0}}

local settlements, tokens = {}, {}
for i = 4, #ARGV, 3 do
  local this = setmetatable(cjson.decode(ARGV[i]), USUAL)
  settlements[#settlements + 1], tokens[#tokens + 1] = this, this.token
end
read_attempts_ahead(tokens)
for n, this in ipairs(settlements) do
  local record = read_attempt(this.token)
  local answer
  if record then
    local job = record.job
    local st, def = job_of(record)
    drop_attempt(this.token)
    answer = not st and 'removed' or ended_otherwise(record, job, st, def)
      or settle(this, ARGV[2 + 3 * n], ARGV[3 + 3 * n], record, job, st, def)
  else
    local last = redis.call('HGET', EVIDENCE, this.job)
    last = last and cjson.decode(last) or {}
    answer = (last.token == this.token or last.ran_nothing == this.token) and 'again' or 'stale'
  end
  answers[#answers + 1] = answer
end
for name, estimate in pairs(estimates) do
  redis.call('HSET', p .. 'plan', 'estimate:' .. name, string.format('%.17g', estimate))
end
if ARGV[3] == '1' then redis.call('ZREM', p .. 'hints:' .. queue, ARGV[2]) end
advance_frontier()
return answers

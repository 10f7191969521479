-- How an attempt ends when its own word does not count, and what a loss costs.
local function ended_otherwise(record, job, st, def)
  if record.stopped == 'removed' then
    journal('job.removed', job, '', '', '{}')
    if #tokens_of(job, st, def) == 0 or (not def.cyclic and not record.armed) then forget(job, st, def) end
    return 'removed'
  end
  if record.stopped == 'cancelled' then
    journal('job.cancelled', job, '', '', '{}')
    if not record.armed then move(job, st, def, 'cancelled') end
    return 'cancelled'
  end
  if record.stopped == 'superseded' or record.rev ~= st.rev then
    journal('job.superseded', job, '', '', '{}')
    if not record.armed then
      if record.rev == st.rev then st.attempts = st.attempts - 1 end -- stopped, not tried
      route(job, st, def)
    end
    return 'superseded'
  end
  return nil
end

local KILLS = 'kills its worker'
local LOST = '{"duration_s":0,"cpu_s":0,"max_rss_bytes":0,"error":"lost"}'

local function log_run(job, ok, measured)
  record_run(p, job, ok, text(now), '{"at_ms":' .. text(now) .. ',' .. string.sub(measured, 2))
end

local function bury(job, st, reason)
  local evidence = redis.call('HGET', p .. 'evidence', job) or '{}'
  dead_put(p, 'job:' .. job, text(now), 'job', job, reason, st.attempts, '{}', evidence)
  journal('job.dead', job, '', reason, '{}')
end

local function lose(record)
  local job = record.job
  local st, def = job_of(record)
  if not st or ended_otherwise(record, job, st, def) then return end
  journal('job.lost', job, '', '', '{}')
  if record.armed then
    log_run(job, false, LOST)
    return
  end
  st.attempts, st.solo = st.attempts - 1, 1
  local gap = tonumber(redis.call('HGET', p .. 'plan', 'gap_at') or 0)
  if record.alone and record.begun > gap then st.losses = st.losses + 1 end
  if st.losses < LIMITS.LOSSES then return ready(job, st, def, now) end
  bury(job, st, KILLS)
  judge(record, def, true, KILLS, true)
  if not def.cyclic then return move(job, st, def, 'dead') end
  if not def.verifies then log_run(job, false, LOST) end
  start_anew(st)
  st.slot = 0
  -- Whoever begins a job of a calendar without a slot looks up the next one and runs nothing.
  local calendar = def.job.schedule and def.job.schedule.cron
  move(job, st, def, 'timed', calendar and now or now + def.period_ms)
end

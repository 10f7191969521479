-- The log of runs of one name (a cyclic job, a periodic task): the last 100 runs, and counters that cost the same
-- whatever the log holds. `cyc:{name}` has runs, failures (of all time), window and window_failures (of what is kept).

local function record_run(p, name, ok, now, entry)
  local log, totals = p .. 'runs:' .. name, p .. 'cyc:' .. name
  redis.call('RPUSH', log, (ok and '1' or '0') .. entry)
  redis.call('HINCRBY', totals, 'runs', 1)
  local failed = ok and 0 or 1
  redis.call('HINCRBY', totals, 'failures', failed)
  if redis.call('LLEN', log) > LIMITS.RUNS_KEPT then
    local oldest = redis.call('LPOP', log)
    if string.sub(oldest, 1, 1) == '0' then failed = failed - 1 end
  end
  redis.call('HINCRBY', totals, 'window_failures', failed)
  redis.call('HSET', totals, 'last_at', now, 'last_ok', ok and 1 or 0)
end

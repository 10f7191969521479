-- Give back what was begun and not started; it counts as never begun.
-- KEYS plan
-- ARGV queue hint done (token…)
-- RETURNS nothing
-- USES time dead runs state phase move attempt breaker ending
for i = 4, #ARGV do
  local record = read_attempt(ARGV[i])
  if record then
    local job = record.job
    local st, def = job_of(record)
    drop_attempt(ARGV[i])
    if st and not ended_otherwise(record, job, st, def) and not record.armed then
      st.attempts = st.attempts - 1
      route(job, st, def)
    end
  end
end
if ARGV[3] == '1' then redis.call('ZREM', p .. 'hints:' .. ARGV[1], ARGV[2]) end
advance_frontier()

-- Take a job out of the plan. Its phase stays open: cancelled is not done.
-- KEYS plan once
-- ARGV job who why
-- RETURNS ok, missing, or the place that refuses
-- USES time dead runs state phase move attempt once
if lost then return lost end
local job = ARGV[1]
local st = read_state(job)
if not st then return 'missing' end
if st.place == 'completed' or st.place == 'cancelled' then return st.place end
local def = definition(job, st)
if is_removed(job, st, def) then return 'removed' end
stop_attempts(job, st, def, 'cancelled')
journal('job.cancel', job, ARGV[2], ARGV[3], '{}')
if st.place ~= 'running' then move(job, st, def, 'cancelled') end
redis.call('DEL', p .. 'dead:job:' .. job)
redis.call('ZREM', p .. 'dead', 'job:' .. job)
advance_frontier()
return once('ok')

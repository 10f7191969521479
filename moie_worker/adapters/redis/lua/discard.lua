-- Drop the dead letter of a job; a job that was dead is cancelled.
-- KEYS plan once
-- ARGV job who why
-- RETURNS ok or missing
-- USES time dead runs state phase move once
if lost then return lost end
local job = ARGV[1]
if redis.call('DEL', p .. 'dead:job:' .. job) == 0 then return 'missing' end
redis.call('ZREM', p .. 'dead', 'job:' .. job)
local st = read_state(job)
if st.place == 'dead' then move(job, st, definition(job, st), 'cancelled') end
journal('dead.discarded', job, ARGV[2], ARGV[3], '{}')
advance_frontier()
return once('ok')

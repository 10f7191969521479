-- Start a job anew: attempts and losses are forgotten.
-- KEYS plan once
-- ARGV job who why
-- RETURNS ok, missing, or the place that refuses
-- USES time dead runs state phase move attempt once
if lost then return lost end
local job = ARGV[1]
local st = read_state(job)
if not st then return 'missing' end
local refused = {completed = 1, running = 1, sent = 1, parked = 1}
if refused[st.place] then return st.place end
local def = definition(job, st)
if is_removed(job, st, def) then return 'removed' end
start_anew(st)
route(job, st, def)
if redis.call('EXISTS', p .. 'dead:job:' .. job) == 1 then
  redis.call('HSET', p .. 'dead:job:' .. job, 'replayed_at', text(now))
end
journal('job.retry', job, ARGV[2], ARGV[3], '{}')
advance_frontier()
return once('ok')

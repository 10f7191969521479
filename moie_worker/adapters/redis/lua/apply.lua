-- Bring the next jobs to the committed revision; whoever comes may go on with it.
-- KEYS plan
-- ARGV
-- RETURNS how many jobs are left, or -1 when nothing is loading
-- USES time dead runs state phase move attempt breaker load
if not loading then return -1 end
local jobs = redis.call('LPOP', p .. 'load', LIMITS.BATCH) or {}
read_ahead(jobs)
read_texts(jobs, revision)
for _, job in ipairs(jobs) do apply(job) end
flush_counts()
local left = redis.call('LLEN', p .. 'load')
if left == 0 then finish() end
return left

-- The log of one name.
-- KEYS plan
-- ARGV name
-- RETURNS {runs, failures, window_failures, {run, …}}, the newest run first
local p, name = string.sub(KEYS[1], 1, -5), ARGV[1]
local totals = redis.call('HMGET', p .. 'cyc:' .. name, 'runs', 'failures', 'window_failures')
local log, newest_first = redis.call('LRANGE', p .. 'runs:' .. name, 0, -1), {}
for i = #log, 1, -1 do newest_first[#newest_first + 1] = log[i] end
return { totals[1] or '0', totals[2] or '0', totals[3] or '0', newest_first }

-- Pause or resume a plan.
-- KEYS plan once
-- ARGV event who why (field value…)
-- RETURNS ok
-- USES time state once
if lost then return lost end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
journal(ARGV[1], '', ARGV[2], ARGV[3], '{}')
return once('ok')

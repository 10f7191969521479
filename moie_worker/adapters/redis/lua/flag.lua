-- Pause or resume a plan.
-- KEYS plan
-- ARGV event who why (field value…)
-- RETURNS nothing
-- USES time state
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
journal(ARGV[1], '', ARGV[2], ARGV[3], '{}')

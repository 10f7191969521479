-- Nothing new begins and what runs is stopped; its jobs are due again when the plan is resumed.
-- KEYS plan once
-- ARGV who why
-- RETURNS ok
-- USES time state attempt once
if lost then return lost end
redis.call('HSET', KEYS[1], 'cancelled', '1')
for _, token in ipairs(redis.call('ZRANGE', p .. 'leases', 0, -1)) do
  local record = read_attempt(token)
  record.stopped = record.stopped or 'superseded'
  write_attempt(token, record)
end
journal('plan.cancelled', '', ARGV[1], ARGV[2], '{}')
return once('ok')

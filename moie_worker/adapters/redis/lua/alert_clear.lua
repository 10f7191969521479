-- An alert is over; write it down, once.
-- KEYS alerts events
-- ARGV name
-- RETURNS 1, or 0 when it does not stand
-- USES time
local message = redis.call('HGET', KEYS[1], ARGV[1])
if not message then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', LIMITS.ALERTS_KEPT, '*', 'event', 'cleared', 'severity', 'info',
  'name', ARGV[1], 'message', message)
return 1

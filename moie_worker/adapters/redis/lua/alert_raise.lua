-- Let an alert stand and write it down, once.
-- KEYS alerts events
-- ARGV name message
-- RETURNS 1, or 0 when it stands already
-- USES time
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', LIMITS.ALERTS_KEPT, '*', 'event', 'raised', 'severity', 'critical',
  'name', ARGV[1], 'message', ARGV[2])
return 1

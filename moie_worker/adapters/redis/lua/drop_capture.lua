-- A capture was written as a snapshot, or cannot be any more.
-- KEYS plan
-- ARGV number
-- RETURNS nothing
-- USES time state phase
redis.call('LREM', p .. 'captures', 0, ARGV[1])
drop_capture(ARGV[1])

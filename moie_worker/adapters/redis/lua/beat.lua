-- Record a heartbeat; waiting jobs that were looked at before it may be looked at again.
-- KEYS plan
-- ARGV report who pulse
-- RETURNS nothing
-- USES time state
redis.call('HSET', KEYS[1], 'last_heartbeat', text(now), 'look_before', text(now))
redis.call('HINCRBY', KEYS[1], 'beats', 1)
journal('heartbeat', '', ARGV[2], '', cjson.encode({report = ARGV[1], pulse = ARGV[3] ~= '' and ARGV[3] or nil}))

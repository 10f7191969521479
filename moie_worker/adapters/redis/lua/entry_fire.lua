-- Advance an entry of the beat schedule and push its message in one step, if nobody else did since it was looked at.
-- KEYS entries queue
-- ARGV name expected next message
-- RETURNS 1, or 0 when another beat was faster
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[4])
return 1

-- Advance an entry of the beat schedule, if nobody else did since it was looked at.
-- KEYS entries
-- ARGV name expected (empty for an entry that is not there) next
-- RETURNS 1, or 0 when another beat was faster
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1

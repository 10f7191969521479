-- Give a claim back unused, unless it lapsed and is another's now.
-- KEYS plan
-- ARGV id mark
-- RETURNS 1, or 0 where it was not held
local key = string.sub(KEYS[1], 1, -5) .. 'dead:' .. ARGV[1]
if redis.call('HGET', key, 'claimed_until') ~= ARGV[2] then return 0 end
return redis.call('HDEL', key, 'claimed_until')

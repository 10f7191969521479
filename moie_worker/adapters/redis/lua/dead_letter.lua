-- Something was given up. The same death reported twice (a hard time limit is) changes nothing the second time.
-- KEYS plan
-- ARGV id death kind name reason attempts payload evidence
-- RETURNS 1, or 0 for a death that is known
-- USES time dead
local p = string.sub(KEYS[1], 1, -5)
local id, death = ARGV[1], ARGV[2]
local key = p .. 'dead:' .. id

if death ~= '' and redis.call('HGET', key, 'death') == death then return 0 end
redis.call('HDEL', key, 'claimed_until', 'replayed_as')
dead_put(p, id, text(now_ms()), ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8])
redis.call('HSET', key, 'death', death)
return 1

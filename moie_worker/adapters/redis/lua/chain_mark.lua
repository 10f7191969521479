-- Write down the newest heartbeat that a station of the chain saw; one that is late does not hide it.
-- KEYS chain
-- ARGV station pulse slot note
-- RETURNS 1, or 0 when a newer one was seen there
-- USES time
-- What is no mark, or one of a slot that nobody can have sent yet, is damage and is written anew.
local read, seen = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[1]) or '')
local newest = read and type(seen) == 'table' and tonumber(seen.slot) or 0
if newest > tonumber(ARGV[3]) and newest <= now_ms() + LIMITS.AHEAD_MS then return 0 end
local mark = {pulse = ARGV[2], slot = tonumber(ARGV[3]), at = now_ms(), note = ARGV[4]}
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(mark))
return 1

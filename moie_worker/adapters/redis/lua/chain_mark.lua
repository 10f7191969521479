-- Write down the newest heartbeat that a station of the chain saw; one that is late does not hide it.
-- KEYS chain
-- ARGV station pulse slot note
-- RETURNS 1, or 0 when a newer one was seen there
-- USES time
local seen = redis.call('HGET', KEYS[1], ARGV[1])
if seen and cjson.decode(seen).slot > tonumber(ARGV[3]) then return 0 end
local mark = {pulse = ARGV[2], slot = tonumber(ARGV[3]), at = now_ms(), note = ARGV[4]}
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(mark))
return 1

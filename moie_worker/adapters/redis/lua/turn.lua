-- Takes the next turn of a shared rate limit: turns are at least `interval_ms` apart, for whoever asks.
-- USES time
-- KEYS turn
-- ARGV interval_ms
-- RETURNS how many milliseconds the caller waits for its turn
local interval = tonumber(ARGV[1])
local now = now_ms()
local mine = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local following = mine + interval
redis.call('SET', KEYS[1], text(following), 'PX', text(math.max(following - now, 1)))
return mine - now

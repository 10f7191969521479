-- Lets at most so many start in any time of one length; who asked first starts first.
-- USES time
-- KEYS starts asked expected
-- ARGV who at_most per_ms
-- RETURNS 0 when it may start now, else how many milliseconds it waits before it asks again
local starts, asked, expected = KEYS[1], KEYS[2], KEYS[3]
local who, most, per = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()

-- Those who did not come back make room for those who did.
local gone = redis.call('ZRANGEBYSCORE', expected, '-inf', '(' .. text(now - LIMITS.TURN_KEPT_MS), 'LIMIT', 0, 100)
for _, name in ipairs(gone) do
  if name ~= who then
    redis.call('ZREM', asked, name)
    redis.call('ZREM', expected, name)
  end
end
local first = redis.call('LINDEX', starts, 0)
while first and tonumber(first) <= now - per do
  redis.call('LPOP', starts)
  first = redis.call('LINDEX', starts, 0)
end

if not redis.call('ZSCORE', asked, who) then redis.call('ZADD', asked, text(now), who) end
local used, rank = redis.call('LLEN', starts), redis.call('ZRANK', asked, who)
local behind = rank - math.max(most - used, 0) -- so many must leave before this one may start
local keep = text(per * (2 + math.floor(redis.call('ZCARD', asked) / most)) + LIMITS.TURN_KEPT_MS)
if behind < 0 then
  redis.call('RPUSH', starts, text(now))
  redis.call('PEXPIRE', starts, keep)
  redis.call('ZREM', asked, who)
  redis.call('ZREM', expected, who)
  return 0
end
local at
if behind < used then
  at = tonumber(redis.call('LINDEX', starts, behind)) + per
else
  at = now + per * (1 + math.floor((behind - used) / most))
end
redis.call('ZADD', expected, text(at), who)
redis.call('PEXPIRE', asked, keep)
redis.call('PEXPIRE', expected, keep)
return at - now

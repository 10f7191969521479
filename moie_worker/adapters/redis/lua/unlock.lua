-- Gives a lock back, unless it has expired and belongs to somebody else by now.
-- KEYS lock
-- ARGV holder
-- RETURNS 1 when it was given back, else 0
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0

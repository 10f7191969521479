-- Drop a name that runs no more.
-- KEYS plan
-- ARGV name
-- RETURNS 1, or 0 where it is not known
local p, name = string.sub(KEYS[1], 1, -5), ARGV[1]
if redis.call('HDEL', p .. 'note:watched', name) == 0 then return 0 end
redis.call('DEL', p .. 'cyc:' .. name, p .. 'runs:' .. name)
return 1

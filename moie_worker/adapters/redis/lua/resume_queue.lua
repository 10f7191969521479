-- Let a queue that a mass failure stopped take work again at once.
-- KEYS plan once
-- ARGV queue who why
-- RETURNS ok, or `not stopped`
-- USES time state breaker once
if lost then return lost end
local breaker = read_breaker(ARGV[1])
local readable = breaker or redis.call('HEXISTS', KEYS[1], 'breaker:' .. ARGV[1]) == 0
if readable and not is_open(breaker) then return 'not stopped' end
close_breaker(ARGV[1], ARGV[2], ARGV[3])
return once('ok')

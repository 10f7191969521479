-- Let a queue that a mass failure stopped take work again at once.
-- KEYS plan
-- ARGV queue who why
-- RETURNS ok, or `not stopped`
-- USES time state breaker
if not is_open(read_breaker(ARGV[1])) then return 'not stopped' end
close_breaker(ARGV[1], ARGV[2], ARGV[3])
return 'ok'

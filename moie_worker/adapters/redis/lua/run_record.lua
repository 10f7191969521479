-- A run of something that is periodic outside of the plan ended, some time ago where it could not be said at once. `watched`
-- says what it is, for whoever lists the names.
-- KEYS plan
-- ARGV name ok (1 or 0) ago_ms run watched
-- RETURNS nothing
-- USES time runs
local p, now = string.sub(KEYS[1], 1, -5), text(now_ms() - tonumber(ARGV[3]))
-- `run` is a JSON object without its time, which is Redis' own.
record_run(p, ARGV[1], ARGV[2] == '1', now, '{"at_ms":' .. now .. ',' .. string.sub(ARGV[4], 2))
redis.call('HSET', p .. 'note:watched', ARGV[1], ARGV[5])

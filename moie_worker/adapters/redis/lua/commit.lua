-- Point the plan at a staged revision, if nobody loaded another one since `base`.
-- KEYS plan stage todo once
-- ARGV base meta phases queues who why
-- RETURNS the new revision, or 0 when somebody else was faster
-- USES time state once
if lost then return lost end
local state = redis.call('HMGET', KEYS[1], 'revision', 'loading')
if text(tonumber(state[1] or 0)) ~= ARGV[1] or state[2] == '1' then return 0 end
local revision = tonumber(ARGV[1]) + 1
redis.call('RENAME', KEYS[2], p .. 'defs:' .. text(revision))
redis.call('RENAME', KEYS[3], p .. 'load')
redis.call('PERSIST', p .. 'defs:' .. text(revision))
redis.call('PERSIST', p .. 'load')
redis.call('HSET', KEYS[1], 'revision', text(revision), 'loading', '1', 'cancelled', '0',
  'staged_meta', ARGV[2], 'staged_phases', ARGV[3], 'staged_queues', ARGV[4], 'staged_by', ARGV[5])
journal('plan.loaded', '', ARGV[5], ARGV[6], '{"revision":' .. text(revision) .. '}')
return once(revision)

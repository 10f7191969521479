-- Flags, phases and counts as they stand at one moment. A script and not a transaction: a full Redis refuses to queue
-- even what only reads, and that is when people look.
-- USES time
-- KEYS plan
-- ARGV
-- RETURNS {now, plan, phases, open phases, counts, approvals, number of dead letters, of regressions, of imported}; hashes as flat lists
local p = string.sub(KEYS[1], 1, -5)
return {
  now_ms(),
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', p .. 'phases'),
  redis.call('ZRANGE', p .. 'phases:open', 0, -1),
  redis.call('HGETALL', p .. 'counts'),
  redis.call('HGETALL', p .. 'approvals'),
  redis.call('ZCARD', p .. 'dead'),
  redis.call('ZCARD', p .. 'regressed'),
  redis.call('ZCARD', p .. 'imported'),
}

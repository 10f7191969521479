-- Dead letters. `dead` orders them by their last time; `dead:{id}` holds one. A letter that dies again is the same
-- letter: it keeps its first time, counts, and waits for a replay again.
local function dead_put(p, id, now, kind, name, reason, attempts, payload, evidence)
  local key = p .. 'dead:' .. id
  redis.call('HDEL', key, 'replayed_at')
  redis.call('HSETNX', key, 'first_at', now)
  redis.call('HINCRBY', key, 'attempts', attempts)
  redis.call('HINCRBY', key, 'deaths', 1)
  redis.call('HSET', key, 'id', id, 'kind', kind, 'job', name, 'reason', reason, 'last_at', now,
    'payload', payload, 'evidence', evidence)
  redis.call('ZADD', p .. 'dead', now, id)
end

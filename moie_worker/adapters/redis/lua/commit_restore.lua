-- Point the plan at a staged snapshot, if nobody changed its revision since `base`. What was decided later than the
-- snapshot stays: approvals, and whether a loaded plan is paused.
-- KEYS plan defs todo restored once
-- ARGV base revision meta phases queues approvals letters flags who why data
-- RETURNS the new revision, or 0 when somebody else was faster
-- USES time state once
if lost then return lost end
local held = redis.call('HMGET', KEYS[1], 'revision', 'loading')
if text(tonumber(held[1] or 0)) ~= ARGV[1] or held[2] == '1' then return 0 end
local revision, empty = tonumber(ARGV[2]), ARGV[1] == '0'

for i = 2, 4 do redis.call('PERSIST', KEYS[i]) end
redis.call('RENAME', KEYS[2], p .. 'defs:' .. text(revision))
redis.call('RENAME', KEYS[3], p .. 'load')
redis.call('RENAME', KEYS[4], p .. 'restored')
redis.call('HSET', KEYS[1], 'revision', text(revision), 'loading', '1', 'restoring', '1',
  'staged_meta', ARGV[3], 'staged_phases', ARGV[4], 'staged_queues', ARGV[5],
  'staged_by', ARGV[9])

for phase, answer in pairs(cjson.decode(ARGV[6])) do
  local live = redis.call('HGET', p .. 'approvals', phase)
  local known = live and record_of(live)
  if not known or known.digest ~= cjson.decode(answer).digest then
    redis.call('HSET', p .. 'approvals', phase, answer)
  end
end
if empty then
  for field, value in pairs(cjson.decode(ARGV[8])) do redis.call('HSET', KEYS[1], field, value) end
  for id, fields in pairs(cjson.decode(ARGV[7])) do
    if redis.call('EXISTS', p .. 'dead:' .. id) == 0 then
      redis.call('HSET', p .. 'dead:' .. id, unpack(fields))
      redis.call('ZADD', p .. 'dead', redis.call('HGET', p .. 'dead:' .. id, 'last_at'), id)
    end
  end
end
journal('plan.restored', '', ARGV[9], ARGV[10], ARGV[11])
return once(revision)

-- A replay is on its way. A letter that died again meanwhile has lost its claim and stays open.
-- KEYS plan once
-- ARGV id mark replayed_as who why
-- RETURNS 1, or 0 where the claim does not hold any more
-- USES time note once
if lost then return lost end
local p = string.sub(KEYS[1], 1, -5)
local id = ARGV[1]
local key = p .. 'dead:' .. id

local name = redis.call('HGET', key, 'job')
local held = redis.call('HGET', key, 'claimed_until') == ARGV[2]
if held then
  redis.call('HDEL', key, 'claimed_until')
  redis.call('HINCRBY', key, 'replays', 1)
  redis.call('HSET', key, 'replayed_at', text(now_ms()), 'replayed_as', ARGV[3])
end
journal_note(p, 'dead.replayed', name or '', ARGV[4], ARGV[5], cjson.encode({ id = id, replayed_as = ARGV[3] }))
return once(held and 1 or 0)

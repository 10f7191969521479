-- Take the right to replay a letter for some time. A claim that was not used in time lapses: whoever took it is gone.
-- KEYS plan once
-- ARGV id again (1 or 0) hold_ms
-- RETURNS {'missing'} | {'claimed', until} | {'replayed', at} | {'yours', until, field, value, …}
-- USES time once
if lost then return lost end
local p = string.sub(KEYS[1], 1, -5)
local key, now = p .. 'dead:' .. ARGV[1], now_ms()

if redis.call('EXISTS', key) == 0 then return { 'missing' } end
local held, replayed = unpack(redis.call('HMGET', key, 'claimed_until', 'replayed_at'))
if held and tonumber(held) > now then return { 'claimed', held } end
if replayed and ARGV[2] ~= '1' then return { 'replayed', replayed } end
local mark = text(now + tonumber(ARGV[3]))
redis.call('HSET', key, 'claimed_until', mark)
redis.call('HDEL', key, 'death') -- a message goes back as it is: the next death has the same name
local answer = redis.call('HGETALL', key)
table.insert(answer, 1, mark)
table.insert(answer, 1, 'yours')
return once(answer)

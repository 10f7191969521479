-- Offer due jobs of one queue until its window is full. Nothing is begun: no token, no lease, no attempt.
-- KEYS plan
-- ARGV queue window name
-- RETURNS {more 0|1, when to look again ms or '', {hint id, job id, …}, …}
-- USES time dead runs state phase move maintain breaker offer
local queue, window, name = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if loading then return {0, ''} end
local more = maintain(queue)
-- What another beat reserved and did not publish, because it died or froze, comes back when its time is over.
local offered = tonumber(redis.call('ZRANGE', p .. 'sent:' .. queue, 0, 0, 'WITHSCORES')[2])
local hints = p .. 'hints:' .. queue
redis.call('ZREMRANGEBYSCORE', hints, '-inf', '(' .. text(now))
local held = redis.call('HMGET', p .. 'plan', 'paused', 'cancelled', 'breaker:' .. queue)
local breaker = keep_breaker(queue, held[3])
-- Where jobs are short, a worker that ends a hint finds the next one waiting.
if expected_ms(queue) < LIMITS.HINT_MS then window = 2 * window end
local free = window - redis.call('ZCARD', hints)
local made = {}
if free > 0 and held[1] ~= '1' and held[2] ~= '1' then
  if not is_open(breaker) then
    more = fill(queue, free, name, made, false) or more
  elseif now >= breaker.retry_at then
    try_one(queue, breaker, name, made)
  end
end
flush_counts()
local next_due = tonumber(redis.call('ZRANGE', p .. 'timed', 0, 0, 'WITHSCORES')[2])
if offered then next_due = math.min(next_due or offered + 1, offered + 1) end
if is_open(breaker) and breaker.retry_at > now then next_due = math.min(next_due or breaker.retry_at, breaker.retry_at) end
for _, hint in ipairs(made) do redis.call('ZADD', hints, text(now + LIMITS.RESERVE_MS), hint[1]) end
return {more and 1 or 0, next_due and text(next_due) or '', unpack(made)}

-- Take back attempts whose lease ended, unless Redis itself was away just now.
-- KEYS plan
-- ARGV
-- RETURNS how many
-- USES time dead runs state phase move attempt breaker ending
local gap = tonumber(redis.call('HGET', p .. 'plan', 'gap_at') or 0)
if now < gap + LIMITS.GAP_GRACE_MS then return 0 end
local limit = '(' .. text(now - LIMITS.RESCUE_AFTER_MS)
local lost = redis.call('ZRANGEBYSCORE', p .. 'leases', '-inf', limit, 'LIMIT', 0, LIMITS.BATCH)
for _, token in ipairs(lost) do
  local record = read_attempt(token)
  drop_attempt(token)
  if record then lose(record) end
end
advance_frontier()
return #lost

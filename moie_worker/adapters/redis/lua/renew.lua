-- Prolong leases. Begins with a removal, so that it works when Redis is full.
-- KEYS plan
-- ARGV queue hint lease_ms (token…)
-- RETURNS for each token: ok, a reason to stop, or gone
-- USES time state attempt
local answers, held = {}, false
for i = 4, #ARGV do
  local token = ARGV[i]
  local record = read_attempt(token)
  if not record or now > record.ends then
    answers[#answers + 1] = 'gone'
  else
    redis.call('ZREM', p .. 'leases', token)
    redis.call('ZADD', p .. 'leases', text(now + tonumber(ARGV[3])), token)
    answers[#answers + 1] = record.stopped or 'ok'
    held = true
  end
end
if held then redis.call('ZADD', p .. 'hints:' .. ARGV[1], text(now + tonumber(ARGV[3])), ARGV[2]) end
return answers

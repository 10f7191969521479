-- The heads of letters after a cursor (the id and time of the last one seen), the last to die first. Where the cursor's
-- letter moved or went, the page starts with all of that time: some may come twice, none is left out.
-- KEYS plan
-- ARGV cursor_id cursor_at oldest limit
-- RETURNS a list of {id, kind, job, reason, attempts, deaths, replays, first_at, last_at, replayed_at, replayed_as}
local p = string.sub(KEYS[1], 1, -5)
local dead, id, at = p .. 'dead', ARGV[1], ARGV[2]

local start = 0
if id ~= '' then
  local score = redis.call('ZSCORE', dead, id)
  if score and tonumber(score) == tonumber(at) then
    start = redis.call('ZREVRANK', dead, id) + 1
  else
    start = redis.call('ZCOUNT', dead, '(' .. at, '+inf')
  end
end

local heads = {}
local found = redis.call('ZREVRANGE', dead, start, start + tonumber(ARGV[4]) - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  if tonumber(found[i + 1]) < tonumber(ARGV[3]) then break end
  heads[#heads + 1] = redis.call('HMGET', p .. 'dead:' .. found[i], 'id', 'kind', 'job', 'reason', 'attempts', 'deaths',
    'replays', 'first_at', 'last_at', 'replayed_at', 'replayed_as')
end
return heads

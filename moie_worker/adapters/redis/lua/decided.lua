-- Keeps what policies decided, the newest first.
-- USES time
-- KEYS decisions
-- ARGV keep (decision JSON, without its time…)
-- RETURNS nothing
local stamp = ',"at":' .. text(now_ms()) .. '}'
for i = 2, #ARGV do
  redis.call('LPUSH', KEYS[1], string.sub(ARGV[i], 1, -2) .. stamp)
end
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[1]) - 1)

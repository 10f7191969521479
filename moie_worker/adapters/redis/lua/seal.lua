-- Add a seal to the chain of receipts; entries that are no receipts go, and what is too old.
-- KEYS plan
-- ARGV expected line drop_seals keep_from (foreign id…)
-- RETURNS 1, or 0 when the newest seal is not the expected one: somebody sealed in between
local p = string.sub(KEYS[1], 1, -5)
local receipts, seals = p .. 'receipts', p .. 'receipts:seals'
if (redis.call('LINDEX', seals, -1) or '') ~= ARGV[1] then return 0 end
for i = 5, #ARGV do redis.call('XDEL', receipts, ARGV[i]) end
if ARGV[4] ~= '' then
  redis.call('XTRIM', receipts, 'MINID', ARGV[4])
  redis.call('LTRIM', seals, tonumber(ARGV[3]), -1)
end
redis.call('RPUSH', seals, ARGV[2])
return 1

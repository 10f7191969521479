-- Keep a snapshot, and remove of its kind the oldest: those beyond a number, and those beyond a size all together.
-- KEYS plan
-- ARGV name kind manifest data most most_bytes
-- RETURNS nothing
-- USES time state
local index, blobs = p .. 'snapshots', p .. 'snapshot:'
redis.call('SET', blobs .. ARGV[1], ARGV[4])
redis.call('HSET', index, ARGV[1], ARGV[3])
local names = {}
for _, name in ipairs(redis.call('HKEYS', index)) do
  if string.match(name, '%-(%l+)$') == ARGV[2] then names[#names + 1] = name end
end
table.sort(names, function(a, b) return a > b end) -- their names begin with the time
local bytes = 0
for i, name in ipairs(names) do
  bytes = bytes + redis.call('STRLEN', blobs .. name)
  if i > 1 and (i > tonumber(ARGV[5]) or bytes > tonumber(ARGV[6])) then
    redis.call('HDEL', index, name)
    redis.call('UNLINK', blobs .. name)
  end
end

-- Keep a snapshot, and remove of its kind others: those beyond a number, and those beyond a size all together. The
-- oldest go first; before them those of a time to come: a clock went back, and they would stay for ever.
-- KEYS plan
-- ARGV name kind manifest data most most_bytes ahead
-- RETURNS nothing
-- USES time state
local index, blobs = p .. 'snapshots', p .. 'snapshot:'
redis.call('SET', blobs .. ARGV[1], ARGV[4])
redis.call('HSET', index, ARGV[1], ARGV[3])
local names = {}
for _, name in ipairs(redis.call('HKEYS', index)) do
  if name ~= ARGV[1] and string.match(name, '%-(%l+)$') == ARGV[2] then names[#names + 1] = name end
end
table.sort(names, function(a, b) -- their names begin with the time
  local early = a < ARGV[7]
  if early ~= (b < ARGV[7]) then return early end
  return a > b
end)
local bytes = #ARGV[4]
for i, name in ipairs(names) do
  bytes = bytes + redis.call('STRLEN', blobs .. name)
  if i >= tonumber(ARGV[5]) or bytes > tonumber(ARGV[6]) then
    redis.call('HDEL', index, name)
    redis.call('UNLINK', blobs .. name)
  end
end

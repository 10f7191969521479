-- Remembers items of a topic and appends the new ones to its stream, in one step.
-- An item is new when its key was never seen or its version is higher than the one seen.
-- Of too many keys those are forgotten that were given longest ago, not those that were new longest ago: what a query
-- still finds is old and must not be new again.
-- USES time
-- KEYS seen sighted stream
-- ARGV keep remember items (repeated; each the JSON of [key, version, [name, value, ...]])
-- RETURNS for each new item, in order: its position from 1, then the version seen before ('' for none)
local keep, remember, now = tonumber(ARGV[1]), tonumber(ARGV[2]), now_ms()

local before = {} -- by key, as the items of this very call leave it
local fresh = {}
for position = 1, #ARGV - 2 do
  local item = cjson.decode(ARGV[position + 2])
  local key, version = item[1], item[2]
  if before[key] == nil then
    before[key] = redis.call('HGET', KEYS[1], key)
  end
  if not before[key] or version > tonumber(before[key]) then
    fresh[#fresh + 1] = { position, key, string.format('%.0f', version), before[key] or '', item[3] }
    before[key] = string.format('%.0f', version)
  end
end

for key in pairs(before) do redis.call('ZADD', KEYS[2], now, key) end

local answer = {}
for _, item in ipairs(fresh) do
  local position, key, version, seen, fields = unpack(item)
  redis.call('HSET', KEYS[1], key, version)
  redis.call('XADD', KEYS[3], 'MAXLEN', keep, '*', 'key', key, 'version', version, 'before', seen, unpack(fields))
  answer[#answer + 1] = position
  answer[#answer + 1] = seen
end

local surplus = redis.call('ZCARD', KEYS[2]) - remember
if surplus > 0 then
  local forgotten = redis.call('ZPOPMIN', KEYS[2], surplus)
  for i = 1, #forgotten, 2 do redis.call('HDEL', KEYS[1], forgotten[i]) end
end
return answer

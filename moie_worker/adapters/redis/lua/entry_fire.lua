-- Advance an entry of the beat schedule and push its message in one step, if nobody else did since it was looked at.
-- KEYS entries queue
-- ARGV name expected next message supersedes
-- RETURNS 1, or 0 when another beat was faster
-- `supersedes` is the name of the entry when its message takes the place of the one before, should that still lie there
-- as the newest: while nobody takes the queue, they do not pile up. Empty: both stay.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end

local function is_pending()
  local newest = ARGV[5] ~= '' and redis.call('LINDEX', KEYS[2], 0)
  local read, message = pcall(cjson.decode, newest or '')
  local headers = read and type(message) == 'table' and message.headers
  return type(headers) == 'table' and headers.moie_entry == ARGV[5]
end

if is_pending() then redis.call('LPOP', KEYS[2]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[4])
return 1

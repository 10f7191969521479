-- Remove a letter for good; the journal keeps what it was.
-- KEYS plan once
-- ARGV id who why
-- RETURNS 1, or 0 where there is none
-- USES note once
if lost then return lost end
local p = string.sub(KEYS[1], 1, -5)
local id = ARGV[1]
local key = p .. 'dead:' .. id

local kind, name, reason, attempts = unpack(redis.call('HMGET', key, 'kind', 'job', 'reason', 'attempts'))
if not kind then return 0 end
redis.call('DEL', key)
redis.call('ZREM', p .. 'dead', id)
journal_note(p, 'dead.discarded', name, ARGV[2], ARGV[3],
  cjson.encode({ id = id, kind = kind, reason = reason, attempts = tonumber(attempts) }))
return once(1)

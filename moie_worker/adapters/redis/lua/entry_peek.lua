-- Redis' time and what is kept of some entries of a beat schedule. A script and not a transaction: a full Redis refuses
-- to queue even what only reads.
-- USES time
-- KEYS entries
-- ARGV (name…)
-- RETURNS {now ms, the text of each name or nothing…}
local found = {now_ms()}
for _, name in ipairs(ARGV) do found[#found + 1] = redis.call('HGET', KEYS[1], name) end
return found

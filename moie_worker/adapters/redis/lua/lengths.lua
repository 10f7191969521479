-- How many jobs have a state and how many were loaded, with the newest entry of the journal, in one look that a full
-- Redis answers too.
-- USES time
-- KEYS plan
-- ARGV
-- RETURNS {jobs, definitions, id of the entry or ''}
local p = string.sub(KEYS[1], 1, -5)
local newest = redis.call('XREVRANGE', p .. 'journal', '+', '-', 'COUNT', 1)[1]
return {
  redis.call('HLEN', p .. 'state'),
  redis.call('HLEN', p .. 'defs:' .. (redis.call('HGET', KEYS[1], 'revision') or '0')),
  newest and newest[1] or '',
}

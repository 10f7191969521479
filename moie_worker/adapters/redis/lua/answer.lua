-- Approve or reject a phase as it is now.
-- KEYS plan
-- ARGV phase approved who why
-- RETURNS ok, missing, or `asks for no approval`
-- USES time state phase
local def = redis.call('HGET', p .. 'phases', ARGV[1])
if not def then return 'missing' end
def = cjson.decode(def)
if not def.approval then return 'asks for no approval' end
local approved = ARGV[2] == '1'
local answer = {approved = approved, digest = def.digest, who = ARGV[3], why = ARGV[4], at = text(now)}
redis.call('HSET', p .. 'approvals', ARGV[1], cjson.encode(answer))
journal(approved and 'phase.approved' or 'phase.rejected', '', ARGV[3], ARGV[4], '{"phase":' .. ARGV[1] .. '}')
refresh_phase(ARGV[1])
if approved then wake('approval:' .. ARGV[1]) end
advance_frontier()
return 'ok'

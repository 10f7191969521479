-- Write down, once, that a phase was not approved in time.
-- KEYS plan
-- ARGV phase
-- RETURNS 1, or 0 when it was approved, may be yet, or is known
-- USES time state phase
local id = ARGV[1]
local def = phase_definition(id)
if not def or not def.approval then return 0 end
local request = read_request(id, def, '')
if request.told or not is_expired(def, request) then return 0 end
request.told = true
write_request(id, request)
journal('phase.expired', '', '', '', '{"phase":' .. id .. '}')
return 1

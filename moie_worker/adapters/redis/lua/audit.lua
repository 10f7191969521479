-- Look at the next jobs again: each must stand where its state says, and nowhere else. What is wrong is put right.
-- KEYS plan
-- ARGV count
-- RETURNS ids that were repaired
-- USES time dead runs state phase move attempt audit
local repaired = {}
if loading then return repaired end
local cursor = redis.call('HGET', KEYS[1], 'audited') or '0'
local page = redis.call('HSCAN', p .. 'state', cursor, 'COUNT', ARGV[1])
redis.call('HSET', KEYS[1], 'audited', page[1])
lease_again()
for i = 1, #page[2], 2 do
  local job = page[2][i]
  local st = read_state(job)
  if definition_text(job, st.drev) then -- else nobody can say where it belongs, and others are not kept from theirs
    local def = definition(job, st)
    local stray, lost = strays(st, def, job), misplaced(st, def, job)
    if stray or lost then
      repaired[#repaired + 1] = job
      journal('job.repaired', job, '', 'was not where its state said: ' .. st.place, '{}')
    end
    if lost then route(job, st, def) end
  end
end
advance_frontier()
return repaired

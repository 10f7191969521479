-- Start the job of a dead letter again; of a cyclic job, one extra run.
-- KEYS plan once
-- ARGV job who why
-- RETURNS ok, missing, replayed, or the place that refuses
-- USES time dead runs state phase move attempt once
if lost then return lost end
local job = ARGV[1]
local letter = p .. 'dead:job:' .. job
if redis.call('EXISTS', letter) == 0 then return 'missing' end
if redis.call('HEXISTS', letter, 'replayed_at') == 1 then return 'replayed' end
local st = read_state(job)
local def = definition(job, st)
if st.place == 'dead' then
  start_anew(st)
  route(job, st, def)
elseif def.cyclic and (st.place == 'timed' or st.place == 'ready') then
  ready(job, st, def, now)
else
  return st.place
end
redis.call('HSET', letter, 'replayed_at', text(now))
journal('dead.replayed', job, ARGV[2], ARGV[3], '{}')
advance_frontier()
return once('ok')

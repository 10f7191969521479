-- Look at a job now: an extra run of a cyclic job, an early look at another; at one that is to stay verified, again.
-- KEYS plan once
-- ARGV job who why
-- RETURNS ok, missing, the place that refuses, or `waits for …`
-- USES time dead runs state phase move once
if lost then return lost end
local job = ARGV[1]
local st = read_state(job)
if not st then return 'missing' end
local def = definition(job, st)
if st.place == 'completed' and def.reverified_by then
  job = def.reverified_by
  st = read_state(job)
  if not st then return 'missing' end
  def = definition(job, st)
end
local may = {timed = true, waiting = true, ready = true, parked = true}
if not may[st.place] then return st.place end
local what = unmet(def)
if what then return 'waits for ' .. what end
ready(job, st, def, now)
flush_counts()
journal('job.run', job, ARGV[2], ARGV[3], '{}')
return once('ok')

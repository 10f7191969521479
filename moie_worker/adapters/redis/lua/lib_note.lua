-- The journal: what happened, by whom and why. What people and the plan did stands in `acts` too, under the same id:
-- a day of cyclic runs would wash it out. Both are capped, so that they cannot fill Redis.
local ACTS_AT_JOBS = { ['job.cancel'] = true, ['job.retry'] = true, ['job.run'] = true }

local function is_act(event)
  return ACTS_AT_JOBS[event] or (event ~= 'heartbeat' and event:sub(1, 4) ~= 'job.')
end

local function journal_note(p, event, name, who, why, data)
  local id = redis.call('XADD', p .. 'journal', 'MAXLEN', '~', LIMITS.JOURNAL_KEPT, '*', 'event', event, 'job', name,
    'who', who, 'why', why, 'data', data)
  if not is_act(event) then return end
  local fields = {'event', event, 'job', name, 'who', who, 'why', why, 'data', data}
  local kept = redis.pcall('XADD', p .. 'acts', 'MAXLEN', '~', LIMITS.ACTS_KEPT, id, unpack(fields))
  if kept.err then -- somebody dropped the journal, and a clock went back: ids begin anew
    redis.call('XADD', p .. 'acts', 'MAXLEN', '~', LIMITS.ACTS_KEPT, '*', unpack(fields))
  end
end

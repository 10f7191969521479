-- Staying verified. What looks at a verified job again is a job of its own, periodic, with the id that the definition
-- of the other names; plan/reverify.py makes it.
local LOOKED = p .. 'evidence'

local function told_of(job)
  local packed = redis.call('HGET', LOOKED, job)
  return packed, packed and cjson.decode(packed) or {}
end

-- The look's evidence becomes that of its job: when and how it held last, how often it did, and since when.
local function still_holds(look, job)
  local _, before = told_of(job)
  local since = text(before.since or (not before.imported and before.at) or now)
  if before.imported then redis.call('ZREM', p .. 'imported', job) end
  redis.call('HSET', LOOKED, job, '{"held":' .. text((before.held or 0) + 1) .. ',"since":' .. since .. ','
    .. string.sub(redis.call('HGET', LOOKED, look), 2))
end

-- The job is open again, its phase with it, and the look waits for it. Both evidences are kept side by side.
local function regress(look, st, def, record, why)
  local job = def.verifies
  local its = read_state(job)
  if not its or its.place ~= 'completed' then return false end
  local packed, before = told_of(job)
  redis.call('HSET', LOOKED, look, '{"regressed":' .. NOW .. ',"before":' .. (packed or '{}') .. ','
    .. string.sub(redis.call('HGET', LOOKED, look), 2))
  redis.call('ZADD', p .. 'regressed', NOW, job)
  journal('job.regressed', job, record.worker, why, '{"held_at":' .. text(before.at or 0) .. '}')
  start_anew(its)
  route(job, its, definition(job, its))
  start_anew(st)
  park(look, st, def, 'job:' .. job)
  return true
end

-- What an ended look says of its job; true when the look has found its place with it. A no counts when it ends the
-- round of retries. What could not be run says nothing.
local function judge_job(this, record, look, st, def)
  if this.outcome == 'passed' and read_state(def.verifies) then
    still_holds(look, def.verifies)
  elseif this.outcome == 'failed' and this.fresh then
    return regress(look, st, def, record, this.message)
  end
  return false
end

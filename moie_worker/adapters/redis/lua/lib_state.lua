-- What changes of a job, packed in one text of the hash `state`; its definition, JSON in the hash of its revision.
local p = string.sub(KEYS[1], 1, -5)
local now = now_ms()
local FIELDS = {'place', 'drev', 'rev', 'attempts', 'losses', 'solo', 'offers', 'ms', 'first', 'score', 'slot', 'token'}
local counted = {}
local decoded = {}

local function read_state(job)
  local packed = redis.call('HGET', p .. 'state', job)
  if not packed then return nil end
  local st, i = {}, 0
  for part in string.gmatch(packed, '([^|]*)|') do
    i = i + 1
    st[FIELDS[i]] = (i == 1 or i == 12) and part or tonumber(part)
  end
  return st
end

local function write_state(job, st)
  local parts = {}
  for i, name in ipairs(FIELDS) do
    local value = st[name]
    parts[i] = type(value) == 'number' and text(value) or value
  end
  redis.call('HSET', p .. 'state', job, table.concat(parts, '|') .. '|')
end

local function definition_text(job, drev)
  return redis.call('HGET', p .. 'defs:' .. text(drev), job)
end

local function definition(job, st)
  local key = text(st.drev) .. ':' .. job
  if not decoded[key] then decoded[key] = cjson.decode(definition_text(job, st.drev)) end
  return decoded[key]
end

-- Counts by phase, class and place; and of each phase, how many of its jobs are still to be done.
local function count(def, place, by)
  local phase = text(def.phase)
  local field = phase .. ':' .. (def.cyclic and 'cyclic' or 'job') .. ':' .. place
  counted[field] = (counted[field] or 0) + by
  if not def.cyclic and place ~= 'completed' then
    counted[phase .. ':open'] = (counted[phase .. ':open'] or 0) + by
  end
end

local function journal(event, job, who, why, data)
  redis.call('XADD', p .. 'journal', 'MAXLEN', '~', LIMITS.JOURNAL_KEPT, '*',
    'event', event, 'job', job, 'who', who, 'why', why, 'data', data)
end

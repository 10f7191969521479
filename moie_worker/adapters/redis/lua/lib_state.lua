-- What changes of a job, packed in one text of the hash `state`; its definition, JSON in the hash of its revision.
local p = string.sub(KEYS[1], 1, -5)
local now = now_ms()
-- place, drev, rev, attempts, losses, solo, offers, ms, first, score, slot, token: one match and one format are
-- several times faster than a loop over names, and every step of every job comes through here.
local UNPACKED = '^' .. string.rep('([^|]*)|', 12) .. '$'
local PACKED = '%s|' .. string.rep('%.0f|', 10) .. '%s|'
local counted = {}
local texts, decoded = {}, {}

local function read_state(job)
  local packed = redis.call('HGET', p .. 'state', job)
  if not packed then return nil end
  local place, drev, rev, attempts, losses, solo, offers, ms, first, score, slot, token = string.match(packed, UNPACKED)
  return {place = place, drev = tonumber(drev), rev = tonumber(rev), attempts = tonumber(attempts),
    losses = tonumber(losses), solo = tonumber(solo), offers = tonumber(offers), ms = tonumber(ms),
    first = tonumber(first), score = tonumber(score), slot = tonumber(slot), token = token}
end

local function write_state(job, st)
  redis.call('HSET', p .. 'state', job, string.format(PACKED, st.place, st.drev, st.rev, st.attempts, st.losses,
    st.solo, st.offers, st.ms, st.first, st.score, st.slot, st.token))
end

local function definition_text(job, drev)
  local key = text(drev) .. ':' .. job
  if not texts[key] then texts[key] = redis.call('HGET', p .. 'defs:' .. text(drev), job) end
  return texts[key]
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

-- What changes of a job, packed in one text of the hash `state`; its definition, JSON in the hash of its revision.
-- USES note
local p = string.sub(KEYS[1], 1, -5)
local now = now_ms()
local NOW, STATE = text(now), p .. 'state'
-- place, drev, rev, attempts, losses, solo, offers, ms, first, score, slot, token: one match and one format are
-- several times faster than a loop over names, and every step of every job comes through here.
local UNPACKED = '^' .. string.rep('([^|]*)|', 12) .. '$'
local PACKED = '%s|' .. string.rep('%d|', 10) .. '%s|'
local counted = {}
local texts, decoded = {}, {} -- by revision, then by job
local ahead = {} -- states that were read ahead; false: there is none

local function unpack_state(packed)
  local place, drev, rev, attempts, losses, solo, offers, ms, first, score, slot, token = string.match(packed, UNPACKED)
  return {place = place, drev = tonumber(drev), rev = tonumber(rev), attempts = tonumber(attempts),
    losses = tonumber(losses), solo = tonumber(solo), offers = tonumber(offers), ms = tonumber(ms),
    first = tonumber(first), score = tonumber(score), slot = tonumber(slot), token = token}
end

local function read_state(job)
  local st = ahead[job]
  ahead[job] = nil
  if st == nil then
    local packed = redis.call('HGET', STATE, job)
    st = packed and unpack_state(packed)
  end
  return st or nil
end

local function write_state(job, st)
  ahead[job] = nil
  redis.call('HSET', STATE, job, string.format(PACKED, st.place, st.drev, st.rev, st.attempts, st.losses,
    st.solo, st.offers, st.ms, st.first, st.score, st.slot, st.token))
end

local function remove_state(job)
  ahead[job] = nil
  redis.call('HDEL', STATE, job)
end

local function texts_of(drev)
  if not texts[drev] then texts[drev], decoded[drev] = {}, {} end
  return texts[drev]
end

local function definition_text(job, drev)
  local known = texts_of(drev)
  if known[job] == nil then known[job] = redis.call('HGET', p .. 'defs:' .. text(drev), job) end
  return known[job]
end

local function keep_text(job, drev, packed)
  texts_of(drev)[job] = packed
  redis.call('HSET', p .. 'defs:' .. text(drev), job, packed)
end

-- What a definition leaves out, see plan/definition.py.
local LEFT_OUT = {__index = {cyclic = false, needs = {}, priority = 0, timing = '', imported = false, idle = false,
  at_load = false, period_ms = 0, delay_ms = 0}}

local function definition_of(packed)
  return setmetatable(cjson.decode(packed), LEFT_OUT)
end

local function definition(job, st)
  local packed = definition_text(job, st.drev)
  local known = decoded[st.drev]
  if not known[job] then known[job] = definition_of(packed) end
  return known[job]
end

local function read_texts(jobs, drev)
  if #jobs == 0 then return end
  local known = texts_of(drev)
  for i, packed in ipairs(redis.call('HMGET', p .. 'defs:' .. text(drev), unpack(jobs))) do known[jobs[i]] = packed end
end

-- Reads what the next steps will ask for, some hundred jobs at most: a command for each job costs more than its answer.
local function read_states(jobs)
  local of = {}
  if #jobs < 2 then return of end
  for i, packed in ipairs(redis.call('HMGET', STATE, unpack(jobs))) do
    local st = packed and unpack_state(packed)
    ahead[jobs[i]] = st
    if st then
      of[st.drev] = of[st.drev] or {}
      table.insert(of[st.drev], jobs[i])
    end
  end
  return of
end

-- The same, with their definitions.
local function read_ahead(jobs)
  for drev, those in pairs(read_states(jobs)) do read_texts(those, drev) end
end

-- Counts by phase, class and place; and of each phase, how many of its jobs are still to be done.
local function count(def, place, by)
  local phase = text(def.phase)
  local field = phase .. (def.verifies and ':look:' or def.cyclic and ':cyclic:' or ':job:') .. place
  counted[field] = (counted[field] or 0) + by
  if not def.cyclic and place ~= 'completed' then
    local open = phase .. ':open'
    counted[open] = (counted[open] or 0) + by
  end
end

-- A record that only scripts write; nil for what somebody else wrote in its place, which must stop nothing.
local function record_of(packed)
  local read, record = pcall(cjson.decode, packed)
  return read and type(record) == 'table' and record or nil
end

local function journal(event, job, who, why, data)
  journal_note(p, event, job, who, why, data)
end

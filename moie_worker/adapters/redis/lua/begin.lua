-- Take the jobs of a hint that may run now. Everything is checked here; the same nonce again gets the same answer.
-- KEYS plan
-- ARGV queue hint nonce worker lease_ms (job…)
-- RETURNS {{token, definition, attempts, losses, first ms, slot ms, begun ms, free ms, revision}, …}
-- USES time dead runs state phase move attempt breaker
local queue, hint, nonce, worker, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local held = redis.call('HMGET', p .. 'plan', 'paused', 'cancelled', 'breaker:' .. queue)
local breaker = keep_breaker(queue, held[3])
local stopped = is_open(breaker)
local may = not loading and held[1] ~= '1' and held[2] ~= '1' and not (stopped and breaker.canary ~= hint)
local begun = {}

local function answer(job, st, record)
  local free = definition(job, st).cyclic and redis.call('HGET', p .. 'cyc:' .. job, 'last_at') or '0'
  begun[#begun + 1] = {st.token, definition_text(job, st.drev), st.attempts, st.losses, text(st.first),
    text(record.slot), text(record.begun), free, st.rev}
end

local function take(job, st, def, number)
  st.token = NOW .. '-' .. nonce .. '-' .. number
  st.offers, st.attempts = 0, st.attempts + 1
  if st.first == 0 then st.first = now end
  local record = {job = job, rev = st.rev, nonce = nonce, alone = #ARGV == 6, slot = st.slot, begun = now,
    ends = now + def.limit_ms, worker = worker, canary = stopped and breaker.opened or nil}
  move(job, st, def, 'running')
  redis.call('ZADD', LEASES, text(now + lease), st.token)
  write_attempt(st.token, record)
  answer(job, st, record)
end

read_ahead({unpack(ARGV, 6)})
for i = 6, #ARGV do
  local job = ARGV[i]
  local st = read_state(job)
  local def = st and definition(job, st)
  if st and st.place == 'running' then
    local record = read_attempt(st.token)
    if record.nonce == nonce then answer(job, st, record) end
  elseif st and (st.place == 'sent' or st.place == 'ready') then
    local what = unmet(def)
    if not may or def.queue ~= queue then
      if st.place == 'sent' then ready(job, st, def, now) end
    elseif what then
      park(job, st, def, what)
    else
      take(job, st, def, i - 6)
    end
  end
end
flush_counts()
redis.call('ZREM', p .. 'hints:' .. queue, hint)
if #begun > 0 then redis.call('ZADD', p .. 'hints:' .. queue, text(now + lease), hint) end
return begun

-- What loading does to one job, and the end of loading.
local target = redis.call('HMGET', p .. 'plan', 'revision', 'restoring')
local revision, restoring = tonumber(target[1] or 0), target[2] == '1'

-- Those whose runs are shown; what looks at a job again is told with its job.
local function list_cyclic(job, new)
  redis.call(new.cyclic and not new.verifies and 'SADD' or 'SREM', p .. 'cyclics', job)
end

local function add(job, new)
  local st = {place = 'parked', drev = revision, rev = revision, attempts = 0, losses = 0, solo = 0, offers = 0,
    ms = 0, first = 0, score = 0, slot = 0, token = '', listed = false}
  if new.cyclic then list_cyclic(job, new) end
  count(new, 'parked', 1)
  if not new.imported then return route(job, st, new) end
  redis.call('HSET', p .. 'evidence', job, '{"at":' .. NOW .. ',"imported":true}')
  redis.call('ZADD', p .. 'imported', NOW, job)
  move(job, st, new, 'completed')
end

local function remove(job, st)
  local old = definition(job, st)
  wake('job:' .. job)
  if #tokens_of(job, st, old) == 0 then
    journal('job.removed', job, '', '', '{}')
    return forget(job, st, old)
  end
  keep_text(job, revision, definition_text(job, st.drev))
  st.drev = revision
  write_state(job, st)
  stop_attempts(job, st, old, 'removed')
  -- Its next slot is armed and must not begin.
  if st.place ~= 'running' then move(job, st, old, 'cancelled') end
end

local function verify_again(job, st, old, new)
  local tokens = tokens_of(job, st, old)
  leave(job, st, old)
  st.rev, st.drev = revision, revision
  start_anew(st)
  st.slot = 0
  if redis.call('ZREM', p .. 'dead', 'job:' .. job) == 1 then
    redis.call('DEL', p .. 'dead:job:' .. job)
    journal('dead.superseded', job, '', '', '{}')
  end
  for _, token in ipairs(tokens) do
    local record = read_attempt(token)
    record.stopped = 'superseded'
    -- What overlaps belongs to cyclic jobs; nobody would look for it at a job that is none any more.
    if record.armed and not new.cyclic then drop_attempt(token) else write_attempt(token, record) end
  end
  enter(job, st, new, st.place, st.score)
  if st.place ~= 'running' then route(job, st, new) end
end

local FINAL = {completed = true, dead = true, cancelled = true}

-- Whether a job waits for the same things as before; then it stands on the right list already.
local function waits_alike(old, new)
  return old.idle == new.idle and old.at_load == new.at_load
    and table.concat(old.needs, '\n') == table.concat(new.needs, '\n')
end

local function replace(job, st, new_text, new)
  local old_text, old = definition_text(job, st.drev), definition(job, st)
  list_cyclic(job, new)
  if old.digest ~= new.digest or old.phase ~= new.phase or old.cyclic ~= new.cyclic then
    return verify_again(job, st, old, new)
  end
  local gone = false
  for _, token in ipairs(tokens_of(job, st, old)) do
    local record = read_attempt(token)
    if record.stopped == 'removed' then
      gone, record.stopped = true, nil
      write_attempt(token, record)
    end
  end
  local stays = st.place == 'parked' and waits_alike(old, new)
  if not stays then leave(job, st, old) end
  st.drev = revision
  if old.timing ~= new.timing then st.slot = 0 end
  if stays then return write_state(job, st) end
  enter(job, st, new, st.place, st.score)
  local moves = st.place == 'ready' or st.place == 'sent' or st.place == 'parked'
    or (st.place == 'timed' and old.timing ~= new.timing)
  if (moves and old_text ~= new_text) or (gone and st.place == 'cancelled') then route(job, st, new) end
end

-- What still runs of a job that is restored. A job that will be due again stays under its lease until its holder has
-- stopped; of one that will not, the token is void at once.
local function fence(job, st, old, new, final)
  for _, token in ipairs(tokens_of(job, st, old)) do
    local record = read_attempt(token)
    record.stopped = 'superseded'
    if final or (record.armed and not new.cyclic) then drop_attempt(token) else write_attempt(token, record) end
  end
end

local function restore_letter(job, fields)
  redis.call('DEL', p .. 'dead:job:' .. job)
  redis.call('ZREM', p .. 'dead', 'job:' .. job)
  if #fields == 0 then return end
  redis.call('HSET', p .. 'dead:job:' .. job, unpack(fields))
  redis.call('ZADD', p .. 'dead', redis.call('HGET', p .. 'dead:job:' .. job, 'last_at'), 'job:' .. job)
end

-- That a job regressed is said by the evidence of what looked at it.
local function restore_regression(job, evidence)
  local since = evidence ~= '' and cjson.decode(evidence).regressed
  if since then redis.call('ZADD', p .. 'regressed', text(since), job) else redis.call('ZREM', p .. 'regressed', job) end
end

-- That nobody verified a completed job is said by its evidence. In a text of an attempt the quotes would be escaped.
local function restore_imported(job, saved)
  if saved.place == 'completed' and string.find(saved.evidence, '"imported":true', 1, true) then
    redis.call('ZADD', p .. 'imported', NOW, job)
  else
    redis.call('ZREM', p .. 'imported', job)
  end
end

local function restored_state(live, saved)
  return {place = 'parked', drev = revision, rev = revision, attempts = saved.attempts, losses = saved.losses,
    solo = saved.solo, offers = 0, ms = saved.duration_ms, first = saved.first_at, score = 0,
    slot = math.max(saved.slot, live and live.slot or 0), token = '', listed = false}
end

-- Where a restored job goes. A slot that came since is not run again: the later of live and saved holds.
local function settle_down(job, st, new, saved, live)
  local score = saved.score
  if live and live.slot > saved.slot then score = live.place == 'timed' and live.score or live.slot end
  if live and live.place == 'running' and not FINAL[saved.place] then
    st.token = live.token
    return enter(job, st, new, 'running', 0)
  end
  if saved.place ~= 'open' then return enter(job, st, new, saved.place, FINAL[saved.place] and 0 or score) end
  enter(job, st, new, 'parked', 0)
  route(job, st, new)
end

local function restore(job, live, new, packed)
  local saved = cjson.decode(packed)
  if live then
    local old = definition(job, live)
    leave(job, live, old)
    fence(job, live, old, new, FINAL[saved.place])
  end
  list_cyclic(job, new)
  restore_letter(job, saved.letter)
  if saved.evidence == '' then
    redis.call('HDEL', p .. 'evidence', job)
  else
    redis.call('HSET', p .. 'evidence', job, saved.evidence)
  end
  restore_imported(job, saved)
  if new.verifies then restore_regression(new.verifies, saved.evidence) end
  if #saved.totals > 0 and redis.call('EXISTS', p .. 'cyc:' .. job) == 0 then
    redis.call('HSET', p .. 'cyc:' .. job, unpack(saved.totals))
  end
  settle_down(job, restored_state(live, saved), new, saved, live)
end

local function apply(job)
  local st = read_state(job)
  local new_text = definition_text(job, revision)
  if st and st.drev == revision then return end
  if not new_text then
    if st then remove(job, st) end
    return
  end
  local new = definition_of(new_text)
  local saved = restoring and redis.call('HGET', p .. 'restored', job)
  if saved then return restore(job, st, new, saved) end
  if st then replace(job, st, new_text, new) else add(job, new) end
end

-- A request goes on with the same jobs; with others it is a new one, of whoever loaded them.
local function keep_request(id, def, author)
  if def.approval then
    write_request(id, read_request(id, def, author))
  else
    redis.call('HDEL', p .. 'approvals', id)
  end
end

-- What was loaded may be what mends a queue.
local function close_breakers()
  local queues = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    queues[#queues + 1] = string.match(field, '^breaker:(.*)$')
  end
  table.sort(queues)
  for _, queue in ipairs(queues) do
    if is_open(read_breaker(queue)) then
      close_breaker(queue, '', 'a plan was loaded')
    else
      write_breaker(queue, false)
    end
  end
end

local function finish()
  local staged = redis.call('HMGET', KEYS[1], 'staged_meta', 'staged_phases', 'staged_queues', 'staged_by')
  local gone = redis.call('HKEYS', p .. 'phases')
  redis.call('DEL', p .. 'phases', p .. 'phases:order', p .. 'phases:open', p .. 'load')
  local phases = cjson.decode(staged[2])
  for _, phase in ipairs(phases) do
    local id = text(phase.id)
    redis.call('HSET', p .. 'phases', id, phase.text)
    redis.call('ZADD', p .. 'phases:order', id, id)
    keep_request(id, cjson.decode(phase.text), staged[4] or '')
  end
  redis.call('HSET', KEYS[1], 'meta', staged[1], 'queues', staged[3])
  redis.call('HDEL', KEYS[1], 'loading', 'restoring', 'staged_meta', 'staged_phases', 'staged_queues', 'staged_by')
  redis.call('UNLINK', p .. 'restored')
  redis.call('UNLINK', p .. 'defs:' .. text(revision - 1))
  close_breakers()
  loading, awaiting = false, {}
  for _, phase in ipairs(phases) do refresh_phase(text(phase.id)) end
  advance_frontier()
  ask(front)
  for _, phase in ipairs(phases) do
    if not awaits(phase.id) then wake('approval:' .. text(phase.id)) end
  end
  for _, id in ipairs(gone) do -- what once waited for a phase that is no more waits for something else
    if redis.call('HEXISTS', p .. 'phases', id) == 0 then
      wake('phase:' .. id)
      wake('approval:' .. id)
      redis.call('HDEL', p .. 'approvals', id)
    end
  end
end

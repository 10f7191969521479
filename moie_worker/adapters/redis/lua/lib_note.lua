-- The journal: what people and the plan did. Capped, so that it cannot fill Redis.
local function journal_note(p, event, name, who, why, data)
  redis.call('XADD', p .. 'journal', 'MAXLEN', '~', 10000, '*', 'event', event, 'job', name, 'who', who, 'why', why, 'data', data)
end

-- Give back what was begun and not started; it counts as never begun.
-- KEYS plan
-- ARGV queue hint done (token…)
-- RETURNS nothing
-- USES time dead runs state phase move attempt ending
for i = 4, #ARGV do
  local record = read_attempt(ARGV[i])
  if record then
    drop_attempt(ARGV[i])
    if not ended_otherwise(record) and not record.armed then
      local st = read_state(record.job)
      st.attempts = st.attempts - 1
      route(record.job, st, definition(record.job, st))
    end
  end
end
if ARGV[3] == '1' then redis.call('ZREM', p .. 'hints:' .. ARGV[1], ARGV[2]) end
advance_frontier()

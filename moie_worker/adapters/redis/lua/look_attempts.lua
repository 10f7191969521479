-- What attempts hold. Writes nothing.
-- KEYS plan
-- ARGV (token…)
-- RETURNS now ms, ms at which Redis was away last, then a JSON text for each token
-- USES time state phase move attempt
local rows = {NOW, redis.call('HGET', KEYS[1], 'gap_at') or '0'}
for _, token in ipairs(ARGV) do
  local row = {until_ms = redis.call('ZSCORE', LEASES, token) or nil}
  local record = read_attempt(token)
  if record then
    local st = read_state(record.job)
    row.job, row.armed, row.known = record.job, record.armed, st ~= nil
    row.owned = st ~= nil and st.place == 'running' and st.token == token
  end
  rows[#rows + 1] = cjson.encode(row)
end
return rows

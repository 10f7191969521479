-- A hint was published: wait longer for somebody to begin its jobs, and longer again with each offer.
-- KEYS plan
-- ARGV queue hint (job…)
-- RETURNS nothing
-- USES time dead runs state phase move
local key, latest = p .. 'sent:' .. ARGV[1], 0
read_states({unpack(ARGV, 3)})
for i = 3, #ARGV do
  local st = read_state(ARGV[i])
  if st and st.place == 'sent' then
    st.score = now + math.min(LIMITS.OFFER_MS * 2 ^ st.offers, LIMITS.OFFER_CAP_MS)
    st.offers = st.offers + 1
    latest = math.max(latest, st.score)
    redis.call('ZADD', key, 'XX', text(st.score), ARGV[i])
    write_state(ARGV[i], st)
  end
end
if latest > 0 then redis.call('ZADD', p .. 'hints:' .. ARGV[1], 'XX', text(latest), ARGV[2]) end

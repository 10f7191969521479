-- Arm the next slot of an overlapping job while its attempt goes on.
-- KEYS plan
-- ARGV token slot due
-- RETURNS 1, or 0 when the token holds nothing or the slot is not a later one
-- USES time dead runs state phase move attempt
local token, slot = ARGV[1], tonumber(ARGV[2])
local record = read_attempt(token)
if not record or record.armed or record.stopped then return 0 end
local st = read_state(record.job)
if st.token ~= token or slot <= st.slot then return 0 end
record.armed = true
st.attempts, st.slot = 0, slot
write_attempt(token, record)
move(record.job, st, definition(record.job, st), 'timed', tonumber(ARGV[3]))
flush_counts()
return 1

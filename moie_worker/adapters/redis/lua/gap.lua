-- Redis was away: what runs now is not charged for its loss, and nobody is rescued for one renewal.
-- KEYS plan
-- ARGV
-- RETURNS nothing
-- USES time
redis.call('HSET', KEYS[1], 'gap_at', text(now_ms()))

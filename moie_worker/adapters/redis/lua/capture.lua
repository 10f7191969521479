-- Hold fast where every job stands now, to be read in pieces.
-- KEYS plan
-- ARGV
-- RETURNS the number of the capture
-- USES time state phase
return capture(LIMITS.CAPTURE_MS)

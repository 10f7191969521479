"""The numbers of the protocol that nobody needs to set. The Lua files are given them as arguments."""

BATCH = 256  # jobs that one maintenance step moves at most
HINT_JOBS = 64  # jobs in one hint at most
RESERVE_JOBS = 512  # jobs that one reservation offers at most, so that Redis is not held for long
HINT_MS = 250  # work in one hint, by what the jobs took before
FEW = 16  # up to so many ready jobs travel alone, so that one sees each of them in Flower
FIRST_ESTIMATE_MS = 250.0  # what a job is taken to last before anything of its queue ran
RESERVE_MS = 500  # a reservation that was not published by then is offered again
OFFER_MS = 10_000  # a published hint that nobody began is offered again after this, doubling
OFFER_CAP_MS = 600_000
RESCUE_AFTER_MS = 2_000  # behind the end of a lease, so that the guard was there first
GAP_GRACE_MS = 10_000  # after Redis was away nobody is rescued for so long: one renewal
LOSSES = 3  # charged losses that make a dead letter
PRIORITY_MS = 60_000  # the head start of one step of priority
RUNS_KEPT = 100
JOURNAL_KEPT = 10_000
AUDIT = 100  # jobs that one audit step looks at
FLUSH_MS = 250  # what ended is settled at least this often
OVERTIME_MS = 1_000  # what a hint has not started so long after its share of work is given back
ALERTS_KEPT = 1_000
APPROVAL_MS = 3_600_000  # a phase that nobody approved for so long is not approved
SNAPSHOTS = 20  # of each kind, in Redis and on each disk
SNAPSHOT_BYTES = 64 * 1024 * 1024  # of each kind in Redis; the newest is kept whatever its size
CAPTURE_JOBS = 100_000  # a promotion of a larger plan holds no copy: Redis would be held for too long
CAPTURES = 4  # of promotions that wait to be written
CAPTURE_MS = 600_000  # what nobody wrote by then goes by itself
CAPTURE_KEPT_MS = 86_400_000  # of promotions: heartbeats may be hours apart

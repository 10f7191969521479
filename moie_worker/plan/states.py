"""The closed sets of the system. Whoever branches on one of them ends with `assert_never`."""

from enum import StrEnum


class Place(StrEnum):
    """Where a job is. A job is in exactly one place."""

    PARKED = "parked"  # waits for another job, its phase or an approval
    TIMED = "timed"  # due later
    READY = "ready"  # due now
    WAITING = "waiting"  # its check said no; the next heartbeat lets it be looked at again
    SENT = "sent"  # reserved, a hint is on its way
    RUNNING = "running"  # begun, under a live lease
    COMPLETED = "completed"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended."""

    PASSED = "passed"
    FAILED = "failed"  # the check ran and said no
    BROKEN = "broken"  # it could not say: exit code 126 or 127, ended by a signal, no such file, bad parameters
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"  # its lease expired
    REFUSED = "refused"  # nothing was run: no trusted author signed it, or this machine does not allow it


class JobStatus(StrEnum):
    """What a plan document may say about a job."""

    PENDING = "pending"
    COMPLETED = "completed"
    CYCLIC = "cyclic"


class PhaseStatus(StrEnum):
    """What `status` says about a phase."""

    LOCKED = "locked"
    AWAITING_APPROVAL = "awaiting approval"
    REJECTED = "rejected"
    EXPIRED = "approval expired"  # nobody approved it in time, which means no
    ACTIVE = "active"
    COMPLETED = "completed"


class Order(StrEnum):
    """How the jobs of a phase follow each other."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


class Overlap(StrEnum):
    """What a cyclic job does when its next slot comes while it still runs."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """What a cyclic job does about slots that were missed."""

    NONE = "none"
    ONCE = "once"
    ALL = "all"


class Start(StrEnum):
    """When a cyclic job starts to run."""

    PHASE = "phase"  # when its phase is first reached
    AT_LOAD = "at_load"


class OnLeaseLost(StrEnum):
    """What happens to a command whose lease was lost."""

    STOP = "stop"
    CONTINUE = "continue"


class Health(StrEnum):
    """The health of a cyclic job or of the heartbeat."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    STALE = "stale"
    UNHEALTHY = "unhealthy"

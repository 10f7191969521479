"""What a test of verification commands found."""

from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from moie_worker.plan.states import Outcome

SLOW_SHARE = 0.5  # of its time limit


class Verdict(StrEnum):
    """What a verification command is worth."""

    PASS = "pass"  # noqa: S105
    SLOW = "slow"  # passed, and took more than half of its time limit
    FAIL = "fail"  # ran and said no
    TIMED_OUT = "timed out"
    BROKEN = "broken"  # could not run


def judge(outcome: Outcome, took_s: float, limit: timedelta) -> Verdict:
    """One verdict of a run."""
    match outcome:
        case Outcome.PASSED:
            return Verdict.SLOW if took_s > SLOW_SHARE * limit.total_seconds() else Verdict.PASS
        case Outcome.FAILED:
            return Verdict.FAIL
        case Outcome.TIMED_OUT:
            return Verdict.TIMED_OUT
        case Outcome.BROKEN | Outcome.CANCELLED | Outcome.LOST | Outcome.REFUSED:
            return Verdict.BROKEN
        case _ as never:
            assert_never(never)


def passed(verdict: Verdict) -> bool:
    """Whether the command proves its job done."""
    return verdict in (Verdict.PASS, Verdict.SLOW)

"""Whether the files that a check rests on are newer than the start of the job: checks pass on old ones too."""

from dataclasses import replace
from datetime import datetime, timedelta

from moie_worker.plan.evidence import EvidenceFiles
from moie_worker.plan.flow import Attempt
from moie_worker.plan.model import Job
from moie_worker.plan.states import Outcome
from moie_worker.plan.times import Ms
from moie_worker.ports import Evidence, Files

# The kernel stamps files with the time of its last tick, which is up to 10 ms before the clock that programs read.
TICK = timedelta(milliseconds=10)


def start_of(job: Job, attempt: Attempt, now: Ms, wall: datetime) -> datetime:
    """When the job began, by the wall clock of this machine, which is `wall` now while Redis has `now`.

    Redis knows how long ago it was, and this machine stamped the files: so neither clock need be right. A job that
    waits for somebody is looked at many times and what they do lies between two looks, so it began with the first.
    Each run of a cyclic job leaves evidence of its own.
    """
    began = attempt.started_at if job.cyclic else attempt.first_at
    return wall - timedelta(milliseconds=max(0, now - began))


def judged(checked: Evidence, bound: EvidenceFiles, cwd: str | None, start: datetime, files: Files) -> Evidence:
    """What a check that passed is worth: it failed when a file is older than the start, or is not there."""
    for path in bound.files:
        written = files.modified(path, cwd)
        if written is None:
            return _no(checked, f"the evidence {path} is not there, or cannot be seen")
        if written < start - TICK:
            times = f"written {_shown(written)}, the job began {_shown(start)}"
            return _no(checked, f"the evidence {path} is old: {times}")
    return checked


def _no(checked: Evidence, why: str) -> Evidence:
    return replace(checked, outcome=Outcome.FAILED, message=why)


def _shown(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")

"""The lists of what waits: each parked job is on one of them, that of the first thing it waited for."""

from collections.abc import Mapping

from moie_worker.plan.times import Ms


class Lists:
    """By what is waited for, jobs with the time at which they came."""

    def __init__(self) -> None:
        self.by_wait: dict[str, dict[str, Ms]] = {}
        self._of: dict[str, str] = {}

    def add(self, job: str, what: str, now: Ms) -> None:
        """Put a job behind what it waits for."""
        self.by_wait.setdefault(what, {})[job] = now
        self._of[job] = what

    def remove(self, job: str) -> None:
        """Take a job from its list, if it is on any."""
        what = self._of.pop(job, None)
        if what is not None:
            del self.by_wait[what][job]
            if not self.by_wait[what]:
                del self.by_wait[what]

    def take(self, what: str) -> list[str]:
        """Empty a list; its jobs, the first to come first."""
        jobs: Mapping[str, Ms] = self.by_wait.pop(what, {})
        for job in jobs:
            del self._of[job]
        return sorted(jobs, key=lambda job: (jobs[job], job))

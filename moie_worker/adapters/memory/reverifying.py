"""Staying verified: what an ended look says of the job that it looked at."""

from moie_worker.adapters.memory.breaking import Breaking
from moie_worker.adapters.memory.core import JobState, Lease
from moie_worker.plan.flow import Settlement
from moie_worker.plan.states import Outcome, Place


class Reverifying(Breaking):
    """A look is a periodic job of its own; `plan/reverify.py` makes it."""

    def judge_job(self, this: Settlement, record: Lease) -> bool:
        """What an ended look says of its job; True when the look has found its place with it.

        A no counts when it ends the round of retries. What could not be run says nothing.
        """
        look = self.jobs[record.job]
        job = self.jobs.get(look.definition.verifies)
        if this.outcome is Outcome.PASSED and job is not None:
            self._still_holds(look, job)
        elif this.outcome is Outcome.FAILED and this.fresh and job is not None and job.place is Place.COMPLETED:
            self._regress(look, job, record.worker, this.message)
            return True
        return False

    def _still_holds(self, look: JobState, job: JobState) -> None:
        """The look's evidence becomes that of its job: when and how it held last, how often, and since when."""
        before = job.evidence
        held_from = self.now if before.get("imported") else before.get("at", self.now)
        since = before.get("since", held_from)
        job.evidence = {**look.evidence, "held": before.get("held", 0) + 1, "since": since}

    def _regress(self, look: JobState, job: JobState, worker: str, why: str) -> None:
        """The job is open again, its phase with it, and the look waits for it. Both evidences are kept."""
        name = job.definition.id
        look.evidence = {**look.evidence, "regressed": self.now, "before": job.evidence}
        self.regressed[name] = self.now
        self.log("job.regressed", name, who=worker, why=why, held_at=job.evidence.get("at", 0))
        job.start_anew()
        self.route(name)
        look.start_anew()
        self.park(look.definition.id, f"job:{name}")

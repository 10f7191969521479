"""Loading a plan under a name: what is the same keeps its state, what changed is verified again, what is gone goes."""

from moie_worker.adapters.memory.breaking import Breaking
from moie_worker.adapters.memory.core import JobState
from moie_worker.errors import RefusedError
from moie_worker.plan.definition import Compiled, Definition, PhaseDefinition
from moie_worker.plan.flow import Approval, Stopped
from moie_worker.plan.limits import BATCH
from moie_worker.plan.states import Place


class Loading(Breaking):
    """Stage, commit, apply. A crash between two of them leaves the old plan or is continued by any beat."""

    _staged: Compiled | None = None
    _loader: str
    _todo: list[str]
    _fresh: dict[str, Definition]

    def load(self, plan: Compiled, base: int, who: str, why: str) -> int:
        """Stage and commit a plan made against revision `base`; returns the new revision. `apply` does the rest."""
        if base != self.flags.revision or self.flags.loading:
            raise RefusedError("the plan was changed by somebody else meanwhile: look at it and load again")
        self._stage(plan, who)
        self.set(revision=base + 1, loading=True, cancelled=False)
        self.log("plan.loaded", who=who, why=why, revision=base + 1)
        return self.flags.revision

    def _stage(self, plan: Compiled, who: str) -> None:
        self._fresh = {job.id: job for job in plan.jobs}
        self._todo = [*self._fresh, *sorted(job for job in self.jobs if job not in self._fresh)]
        self._staged, self._loader = plan, who

    def apply(self) -> int | None:
        """Bring the next batch of jobs to the new revision; returns how many are left, None when nothing loads."""
        if self._staged is None:
            return None
        batch, self._todo = self._todo[:BATCH], self._todo[BATCH:]
        for job in batch:
            self._apply_one(job)
        if not self._todo:
            self._finish(self._staged)
        return len(self._todo)

    def _finish(self, plan: Compiled) -> None:
        self.meta = dict(plan.meta)
        gone = self.phases
        self.phases = {phase.id: phase for phase in plan.phases}
        self.approvals = {phase.id: self._asked_before(phase) for phase in plan.phases if phase.approval}
        self._staged = None
        for queue in sorted(self.breakers):  # what was loaded may be what mends it
            self.close_breaker(queue, why="a plan was loaded") if self.is_open(queue) else self.breakers.pop(queue)
        self.set(loading=False)
        self.advance_frontier()
        self.ask(self.flags.frontier)
        for phase in self.phases:
            if not self.awaits(phase):
                self.wake(f"approval:{phase}")
        for phase in gone.keys() - self.phases.keys():  # what once waited for it waits for something else
            self.wake(f"phase:{phase}")
            self.wake(f"approval:{phase}")

    def _asked_before(self, phase: PhaseDefinition) -> Approval:
        """A request goes on with the same jobs; with others it is a new one, of whoever loaded them."""
        known = self.approvals.get(phase.id)
        return known if known and known.digest == phase.digest else Approval(phase.digest, self._loader)

    def _apply_one(self, job: str) -> None:
        new, state = self._fresh.get(job), self.jobs.get(job)
        if new is not None and state is not None:
            self._replace(state, new)
        elif new is not None:
            self._add(new)
        elif state is not None:  # else its last attempt ended since it was put on the list
            self._remove(job)

    def _add(self, new: Definition) -> None:
        self.jobs[new.id] = JobState(new, self.flags.revision, Place.PARKED)
        if new.imported:
            self.jobs[new.id].evidence = {"at": self.now, "imported": True}
            self.move(new.id, Place.COMPLETED)
        else:
            self.route(new.id)

    def _remove(self, job: str) -> None:
        self.wake(f"job:{job}")
        if any(lease.job == job for lease in self.leases.values()):
            self.stop_attempts(job, Stopped.REMOVED)
            if self.jobs[job].place != Place.RUNNING:  # its next slot is armed and must not begin
                self.move(job, Place.CANCELLED)
            return
        self.log("job.removed", job)
        self.forget(job)

    def _replace(self, state: JobState, new: Definition) -> None:
        old, state.definition = state.definition, new
        if (old.digest, old.phase, old.cyclic) != (new.digest, new.phase, new.cyclic):
            self._verify_again(state)
            return
        gone = [each for each in self.leases.values() if each.job == new.id and each.stopped == Stopped.REMOVED]
        for lease in gone:
            lease.stopped = None
        if old.timing != new.timing:
            state.slot = 0
        alike = (old.idle, old.at_load, old.needs) == (new.idle, new.at_load, new.needs)
        moves = (
            state.place in {Place.READY, Place.SENT}
            or (state.place == Place.PARKED and not alike)  # else it stands on the right list already
            or (state.place == Place.TIMED and old.timing != new.timing)
        )
        if (moves and old != new) or (gone and state.place == Place.CANCELLED):
            self.route(new.id)

    def _verify_again(self, state: JobState) -> None:
        """A changed job starts anew; what still runs of it will settle as superseded."""
        job = state.definition.id
        state.revision = self.flags.revision
        state.start_anew()
        state.slot = 0
        if self.letters.pop(job, None):
            self.log("dead.superseded", job)
        self.stop_attempts(job, Stopped.SUPERSEDED)
        if not state.definition.cyclic:  # what overlaps belongs to cyclic jobs
            self.leases = {token: each for token, each in self.leases.items() if each.job != job or not each.armed}
        if state.place != Place.RUNNING:
            self.route(job)

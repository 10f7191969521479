"""What an operator may do. Every step says who and why, and refuses with a reason."""

from dataclasses import replace

from moie_worker.adapters.memory.breaking import Breaking
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.approval import approve, is_expired, refusal, reject
from moie_worker.plan.flow import Stopped, Vote
from moie_worker.plan.states import Place


class Operating(Breaking):
    """Pause, resume, cancel, approve, reject, retry, run, replay, discard, and the heartbeat's own record."""

    def pause(self, who: str, why: str) -> None:
        """Nothing new begins; what runs finishes and counts."""
        self.set(paused=True)
        self.log("plan.paused", who=who, why=why)

    def resume(self, who: str, why: str) -> None:
        """Go on, after a pause or after a cancelled plan."""
        self.set(paused=False, cancelled=False)
        self.log("plan.resumed", who=who, why=why)

    def resume_queue(self, queue: str, who: str, why: str) -> None:
        """Let a queue that a mass failure stopped take work again at once."""
        breaker = self.breakers.get(queue)
        if breaker is None or not breaker.opened:
            raise RefusedError(f"queue {queue!r} is not stopped")
        self.close_breaker(queue, who, why)

    def cancel_plan(self, who: str, why: str) -> None:
        """Nothing new begins and what runs is stopped."""
        self.set(cancelled=True)
        for lease in self.leases.values():
            lease.stopped = lease.stopped or Stopped.SUPERSEDED
        self.log("plan.cancelled", who=who, why=why)

    def cancel(self, job: str, who: str, why: str) -> None:
        """Take a job out. Its phase stays open: cancelled is not done."""
        state = self.jobs.get(job)
        if state is None:
            raise NotFoundError(f"no job {job!r}")
        if state.place in {Place.COMPLETED, Place.CANCELLED}:
            raise RefusedError(f"job {job} is {state.place}")
        self._refuse_removed(job)
        self.stop_attempts(job, Stopped.CANCELLED)
        self.log("job.cancel", job, who=who, why=why)
        if state.place != Place.RUNNING:
            self.move(job, Place.CANCELLED)
        self.letters.pop(job, None)

    def retry(self, job: str, who: str, why: str) -> None:
        """Start a job anew: attempts and losses are forgotten."""
        state = self.jobs.get(job)
        if state is None:
            raise NotFoundError(f"no job {job!r}")
        if state.place in {Place.COMPLETED, Place.RUNNING, Place.SENT, Place.PARKED}:
            raise RefusedError(f"job {job} is {state.place}")
        self._refuse_removed(job)
        self._restart(job)
        if letter := self.letters.get(job):
            letter.replayed_at = self.now
        self.log("job.retry", job, who=who, why=why)

    def run(self, job: str, who: str, why: str) -> None:
        """Look at a job now: an extra run of a cyclic job, an early look at another; at what stays verified, again."""
        state = self.jobs.get(job)
        if state is not None and state.place is Place.COMPLETED and state.definition.reverified_by:
            job = state.definition.reverified_by
            state = self.jobs.get(job)
        if state is None:
            raise NotFoundError(f"no job {job!r}")
        if state.place not in {Place.TIMED, Place.WAITING, Place.READY, Place.PARKED}:
            raise RefusedError(f"job {job} is {state.place}")
        if what := self.unmet(state):
            raise RefusedError(f"job {job} waits for {what}")
        self.ready(job, self.now)
        self.log("job.run", job, who=who, why=why)

    def replay(self, job: str, who: str, why: str) -> None:
        """Start the job of a dead letter again; of a cyclic job, one extra run."""
        letter = self.letters.get(job)
        if letter is None:
            raise NotFoundError(f"no dead letter of job {job!r}")
        if letter.replayed_at is not None:
            raise RefusedError(f"the dead letter of job {job} was replayed already")
        state = self.jobs[job]
        if state.place == Place.DEAD:
            self._restart(job)
        elif state.definition.cyclic and state.place in {Place.TIMED, Place.READY}:
            self.ready(job, self.now)
        else:
            raise RefusedError(f"job {job} is {state.place}")
        letter.replayed_at = self.now
        self.log("dead.replayed", job, who=who, why=why)

    def discard(self, job: str, who: str, why: str) -> None:
        """Drop a dead letter; a job that was dead is cancelled."""
        if self.letters.pop(job, None) is None:
            raise NotFoundError(f"no dead letter of job {job!r}")
        if self.jobs[job].place == Place.DEAD:
            self.move(job, Place.CANCELLED)
        self.log("dead.discarded", job, who=who, why=why)

    def answer(self, phase: int, approved: bool, who: str, why: str) -> bool:
        """Approve or reject a phase as it is now. False: another person must approve it too."""
        definition = self.phases.get(phase)
        if definition is None:
            raise NotFoundError(f"no phase {phase}")
        if not definition.approval:
            raise RefusedError(f"phase {phase} asks for no approval")
        request, vote = self.request(definition), Vote(who, why, self.now)
        if approved and (why_not := refusal(definition, request, who, self.now)):
            raise RefusedError(f"phase {phase} {why_not}")
        self.approvals[phase] = approve(definition, request, vote) if approved else reject(request, vote)
        enough = not self.awaits(phase)
        said = "phase.rejected" if not approved else "phase.approved" if enough else "phase.endorsed"
        self.log(said, who=who, why=why, phase=phase)
        if enough:
            self.wake(f"approval:{phase}")
        self.advance_frontier()
        return enough or not approved

    def expire(self, phase: int) -> bool:
        """Write down, once, that a phase was not approved in time. False: it was, it may be yet, or it is known."""
        definition, request = self.phases.get(phase), self.approvals.get(phase)
        if definition is None or request is None or request.told or not is_expired(definition, request, self.now):
            return False
        self.approvals[phase] = replace(request, told=True)
        self.log("phase.expired", phase=phase)
        return True

    def beat(self, report: str, who: str, pulse: str = "") -> None:
        """Record a heartbeat; waiting jobs that were looked at before it may be looked at again.

        `pulse` is the id under which a beat sent it; empty for one that somebody asked for.
        """
        self.set(last_heartbeat=self.now, look_before=self.now, beats=self.flags.beats + 1)
        self.log("heartbeat", who=who, report=report, **({"pulse": pulse} if pulse else {}))

    def _refuse_removed(self, job: str) -> None:
        """A job that the plan no longer has is there only until its attempts end."""
        if any(lease.job == job and lease.stopped == Stopped.REMOVED for lease in self.leases.values()):
            raise RefusedError(f"job {job} is removed")

    def _restart(self, job: str) -> None:
        self.jobs[job].start_anew()
        self.route(job)

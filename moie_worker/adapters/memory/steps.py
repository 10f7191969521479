"""The steps of an attempt: begin, renew, arm, settle, release, rescue."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from moie_worker.adapters.memory.core import JobState, Lease
from moie_worker.adapters.memory.reverifying import Reverifying
from moie_worker.plan.flow import Answer, Attempt, Hint, Settlement, Stopped
from moie_worker.plan.letters import Measured
from moie_worker.plan.limits import BATCH, GAP_GRACE_MS, LOSSES, RESCUE_AFTER_MS
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms, to_ms

KILLS = "kills its worker"
LOST = Measured(duration_s=0, error="lost")


class Steps(Reverifying):
    """What workers do, and what becomes of the attempts of those that are lost."""

    def begin(self, hint: Hint, nonce: str, worker: str, lease: timedelta) -> list[Attempt]:
        """Take what a hint names and may run now; the same nonce again gets the same answer."""
        held = not self._may_begin(hint)
        jobs = dict.fromkeys(hint.jobs)
        if len(jobs) < len(hint.jobs):  # a job that is named twice runs once
            hint = replace(hint, jobs=tuple(jobs))
        begun = [
            attempt
            for number, job in enumerate(hint.jobs)
            if (attempt := self._begin_one(job, number, hint, nonce, worker, lease, held))
        ]
        hints = self.hints.setdefault(hint.queue, {})
        hints.pop(hint.id, None)
        if begun:
            hints[hint.id] = self.now + to_ms(lease)
        return begun

    def _may_begin(self, hint: Hint) -> bool:
        if self.is_open(hint.queue) and self.breakers[hint.queue].canary != hint.id:
            return False
        return not (self.flags.paused or self.flags.cancelled or self.flags.loading)

    def _begin_one(
        self, job: str, number: int, hint: Hint, nonce: str, worker: str, lease: timedelta, held: bool
    ) -> Attempt | None:
        state = self.jobs.get(job)
        if state is None:
            return None
        if state.place == Place.RUNNING and self.leases[state.token].nonce == nonce:
            return self._attempt(job, state)
        if state.place not in {Place.SENT, Place.READY}:
            return None
        if held or state.definition.queue != hint.queue:
            if state.place == Place.SENT:
                self.ready(job, self.now)
            return None
        if what := self.unmet(state):
            self.park(job, what)
            return None
        token = f"{self.now}-{nonce}-{number}"
        self.move(job, Place.RUNNING)
        state.token, state.offers = token, 0
        state.attempts += 1
        state.first_at = state.first_at or self.now
        self.leases[token] = Lease(
            job=job,
            revision=state.revision,
            nonce=nonce,
            worker=worker,
            alone=len(hint.jobs) == 1,
            slot=state.slot,
            begun_at=self.now,
            expires=self.now + to_ms(lease),
            ends=self.now + state.definition.limit_ms,
            canary=self.breakers[hint.queue].opened if self.is_open(hint.queue) else 0,
        )
        return self._attempt(job, state)

    def _attempt(self, job: str, state: JobState) -> Attempt:
        lease = self.leases[state.token]
        return Attempt(
            token=state.token,
            definition=state.definition,
            attempts=state.attempts,
            losses=state.losses,
            first_at=state.first_at,
            slot=lease.slot,
            started_at=lease.begun_at,
            free_at=self.freed.get(job, 0),
            revision=state.revision,
        )

    def renew(self, tokens: Sequence[str], lease: timedelta, hint: Hint) -> list[str]:
        """For each token: `ok`, a reason of `Stopped`, or `gone` (not held, or past its time limit)."""
        answers: list[str] = []
        for token in tokens:
            record = self.leases.get(token)
            if record is None or self.now > record.ends:
                answers.append("gone")
                continue
            record.expires = self.now + to_ms(lease)
            answers.append(record.stopped or "ok")
        if any(answer != "gone" for answer in answers):
            self.hints.setdefault(hint.queue, {})[hint.id] = self.now + to_ms(lease)
        return answers

    def arm(self, token: str, slot: Ms, due: Ms) -> bool:
        """Arm the next slot of an overlapping job while its attempt runs; False when the token holds nothing."""
        record = self.leases.get(token)
        if record is None or record.armed or record.stopped:
            return False
        state = self.jobs[record.job]
        if state.token != token or slot <= state.slot:
            return False
        record.armed = True
        state.attempts, state.slot = 0, slot
        self.move(record.job, Place.TIMED, due)
        return True

    def settle(self, settlements: Sequence[Settlement], hint: Hint, done: bool) -> list[Answer]:
        """End attempts. `done` says that this was the last of the hint, which frees its slot."""
        answers = [self._settle_one(settlement) for settlement in settlements]
        if done:
            self.hints.setdefault(hint.queue, {}).pop(hint.id, None)
        self.advance_frontier()
        return answers

    def _settle_one(self, this: Settlement) -> Answer:
        record = self.leases.pop(this.token, None)
        if record is None:
            known = self.jobs.get(this.job)
            again = known is not None and this.token in map(known.evidence.get, ("token", "ran_nothing"))
            return Answer.AGAIN if again else Answer.STALE
        if ended := self._ended_otherwise(record):
            return ended
        job, state = record.job, self.jobs[record.job]
        nothing = this.evidence == "{}" and this.outcome is Outcome.CANCELLED
        if nothing and state.evidence:  # it proves nothing: what the one before left stays
            state.evidence = {**state.evidence, "ran_nothing": this.token}
        else:
            state.evidence = {**json.loads(this.evidence), "token": this.token, "at": self.now}
        if this.duration_ms:  # else nothing ran that could have killed its worker
            state.solo = False
            self._learn(state, this.duration_ms)
        if this.run is not None:
            self.record_run(job, Measured(**json.loads(this.measured)))
        if this.receipt:
            self.keep_receipt(this.receipt)
        held = state.definition.verifies and this.outcome is Outcome.PASSED  # the receipt says so
        if not held and not (nothing and not this.fresh):  # that it was put off is said where it is decided
            self.log("job." + this.outcome, job, who=record.worker, why=this.message)
        if self.judge_settled(this, record):
            self.hold(job)
            return Answer.SETTLED
        if this.reason:
            self.bury(job, this.reason)
        if state.definition.verifies and self.judge_job(this, record):
            return Answer.SETTLED
        if not record.armed:
            self._place(job, state, this)
        return Answer.SETTLED

    def _learn(self, state: JobState, duration_ms: int) -> None:
        """What a job took tells what it, and others of its queue, will take. Nothing is known before the first."""
        state.duration_ms, queue = duration_ms, state.definition.queue
        self.estimates[queue] = 0.8 * self.estimates.get(queue, duration_ms) + 0.2 * duration_ms

    def _place(self, job: str, state: JobState, this: Settlement) -> None:
        if this.fresh:
            state.attempts = 0
            state.losses = 0 if this.duration_ms else state.losses
        elif this.outcome is Outcome.CANCELLED:
            state.attempts -= 1
        if state.definition.cyclic and this.slot:
            state.slot = this.slot
        match this.place:
            case Place.READY:
                self.ready(job, self.now)
            case Place.WAITING:
                self.move(job, Place.WAITING, self.now)
            case Place.TIMED:
                self.move(job, Place.TIMED, this.due)
            case _:
                self.move(job, this.place)

    def _ended_otherwise(self, record: Lease) -> Answer | None:
        """What an attempt that was wanted gone, or is of an older revision, ends as."""
        job, state = record.job, self.jobs[record.job]
        if record.stopped == Stopped.REMOVED:
            self.log("job.removed", job)
            if not any(lease.job == job for lease in self.leases.values()):
                self.forget(job)
            return Answer.REMOVED
        if record.stopped == Stopped.CANCELLED:
            self.log("job.cancelled", job)
            if not record.armed:
                self.move(job, Place.CANCELLED)
            return Answer.CANCELLED
        if record.stopped == Stopped.SUPERSEDED or record.revision != state.revision:
            self.log("job.superseded", job)
            if not record.armed:
                state.attempts -= record.revision == state.revision  # stopped, not tried
                self.route(job)
            return Answer.SUPERSEDED
        return None

    def release(self, tokens: Sequence[str], hint: Hint, done: bool) -> None:
        """Give back what was begun and not started; it counts as never begun."""
        for token in tokens:
            record = self.leases.pop(token, None)
            if record is None or self._ended_otherwise(record):
                continue
            self._give_back(record)
        if done:
            self.hints.setdefault(hint.queue, {}).pop(hint.id, None)
        self.advance_frontier()

    def _give_back(self, record: Lease) -> None:
        state = self.jobs[record.job]
        if not record.armed:
            state.attempts -= 1
            self.route(record.job)

    # -- loss -------------------------------------------------------------------------------------

    def gap(self) -> None:
        """Redis was away: what was running then is not charged, and nobody is rescued for one renewal."""
        self.gap_at = self.now

    def audit(self, count: int) -> list[str]:
        """The twin has one place for each job and nothing to repair."""
        del count
        return []

    def rescue(self) -> int:
        """Take back attempts whose lease ended; returns how many."""
        if self.now < self.gap_at + GAP_GRACE_MS:
            return 0
        lost = sorted(
            (lease.expires, token) for token, lease in self.leases.items() if lease.expires + RESCUE_AFTER_MS < self.now
        )
        for _, token in lost[:BATCH]:
            self._lose(self.leases.pop(token))
        self.advance_frontier()
        return len(lost[:BATCH])

    def _lose(self, record: Lease) -> None:
        if self._ended_otherwise(record):
            return
        job, state = record.job, self.jobs[record.job]
        self.log("job." + Outcome.LOST, job)
        if record.armed:
            self.record_run(job, LOST)
            return
        state.attempts -= 1
        state.solo = True
        if record.alone and record.begun_at > self.gap_at:
            state.losses += 1
        if state.losses < LOSSES:
            self.ready(job, self.now)
            return
        self.bury(job, KILLS)
        self.judge(record, bad=True, reason=KILLS)
        if state.definition.cyclic:
            self._lost_run(job, state)
        else:
            self.move(job, Place.DEAD)

    def _lost_run(self, job: str, state: JobState) -> None:
        """After a dead run of a cyclic job the next slot runs; whoever begins it finds out which that is.

        Of a calendar at once, and nothing runs then; `every` starts anew with the run that it begins.
        """
        if not state.definition.verifies:
            self.record_run(job, LOST)
        state.start_anew()
        state.slot = 0
        calendar = state.definition.job.get("schedule", {}).get("cron")
        self.move(job, Place.TIMED, self.now + (0 if calendar else state.definition.period_ms))

"""What the oracle remembers of a plan beside the store: it counts for itself and says where the store differs.

Nothing here asks the store what it decided; only places, definitions, phases and times are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import Lease
from moie_worker.plan.flow import Answer, Attempt, Hint, Settlement
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms

LEASE_MS = 30_000
GUARD_MS = 2_000  # what the guard beside a worker has to kill a command before the rescue
AFTER_GAP_MS = 10_000
LOSSES = 3


class ViolationError(AssertionError):
    """Something that must hold did not."""


@dataclass
class Begun:
    """An attempt as its worker knows it."""

    job: str
    digest: str  # of what it runs
    alone: bool
    at: Ms
    until: Ms  # the end of the lease
    limit: Ms  # no renewal after this
    unwanted: bool = False
    armed: bool = False


@dataclass
class Ledger:
    """Who holds what, what each job was charged with, and which slots were reached."""

    begun: dict[str, Begun] = field(default_factory=dict)  # by token, all there ever were
    older: set[str] = field(default_factory=set)  # tokens from before Redis was empty; their like may be given again
    settled_once: set[str] = field(default_factory=set)  # tokens
    receipts: list[str] = field(default_factory=list)  # of all that was verified
    dropped: int = 0  # of the oldest ones, under old seals
    live: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)  # by a step since the oracle looked last
    tried: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    solo: set[str] = field(default_factory=set)
    slots: dict[str, Ms] = field(default_factory=dict)
    denied: dict[str, Ms] = field(default_factory=dict)  # when the check of a waiting job said no
    revisions: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)  # what they were charged with is taken from their next attempt
    voided: set[str] = field(default_factory=set)  # tokens that a restore may take away, now or when it is applied
    gap_at: Ms = 0
    reached: int = -1  # the last phase that the journal says was reached
    read: int = 0  # so much of the journal was looked at

    def emptied(self) -> "Ledger":
        """Redis lost everything; workers know their attempts yet."""
        return Ledger(begun=self.begun, settled_once=self.settled_once, older=set(self.begun))

    def restored(self, jobs: Iterable[str]) -> None:
        """The plan went back to a snapshot, and with it what its jobs were charged with."""
        self.unknown.update(jobs)
        self.voided |= self.live
        self.solo.clear()
        self.denied.clear()
        self.slots.clear()

    def anew(self, job: str) -> None:
        """A job starts anew."""
        self.tried.pop(job, None)
        self.lost.pop(job, None)
        self.denied.pop(job, None)
        self.solo.discard(job)

    # -- what was offered and begun -----------------------------------------------------------------

    def offered(self, twin: MemoryStore, hints: Sequence[Hint], window: int) -> None:
        """Nothing is offered that is held back, nor beyond the window."""
        for hint in hints:
            if twin.flags.paused or twin.flags.cancelled or twin.flags.loading:
                raise ViolationError("work was offered of a plan that is paused, cancelled or loading")
            if len(twin.hints[hint.queue]) > 2 * window:
                raise ViolationError(f"{len(twin.hints[hint.queue])} hints are under way in a window of {window}")
            for job in hint.jobs:
                same = self.revisions.get(job) == twin.jobs[job].revision  # else it started anew
                if same and len(hint.jobs) > 1 and job in self.solo:
                    raise ViolationError(f"{job} was lost before and travels with others")
                if self.denied.pop(job, -1) >= twin.flags.look_before and same:
                    raise ViolationError(f"{job} is looked at twice in one heartbeat")

    def knows(self, token: str) -> bool:
        """Whether an attempt was begun before, in this Redis."""
        return token in self.begun and token not in self.older

    def begin(self, twin: MemoryStore, attempt: Attempt, hint: Hint) -> None:
        """What begins may begin, and is charged with what it tried. The same attempt again says nothing new."""
        if self.knows(attempt.token):
            return
        self.older.discard(attempt.token)
        self.settled_once.discard(attempt.token)
        this, job = attempt.definition, attempt.definition.id
        if twin.flags.paused or twin.flags.cancelled or twin.flags.loading:
            raise ViolationError(f"{job} began in a plan that is paused, cancelled or loading")
        if this.queue != hint.queue:
            raise ViolationError(f"{job} of queue {this.queue} began in {hint.queue}")
        for need in this.needs:
            if need not in twin.jobs or twin.jobs[need].place is not Place.COMPLETED:
                raise ViolationError(f"{job} began before {need} was completed")
        if not this.cyclic and (open_jobs := unfinished_before(twin, this.phase)):
            raise ViolationError(f"{job} of phase {this.phase} began before {open_jobs} ended")
        if self.revisions.get(job) != twin.jobs[job].revision:
            self.anew(job)
            self.revisions[job] = twin.jobs[job].revision
        self._charged(attempt)
        alone, now = len(set(hint.jobs)) == 1, attempt.started_at
        self.begun[attempt.token] = Begun(job, this.digest, alone, now, now + LEASE_MS, now + this.limit_ms)
        self.denied.pop(job, None)

    def _charged(self, attempt: Attempt) -> None:
        job = attempt.definition.id
        if job in self.unknown:
            self.unknown.discard(job)
            self.tried[job], self.lost[job] = attempt.attempts - 1, attempt.losses
        tried, lost = self.tried.get(job, 0), self.lost.get(job, 0)
        if attempt.attempts != tried + 1:
            raise ViolationError(f"{job} was tried {tried} times and says that this is attempt {attempt.attempts}")
        if attempt.losses != lost:
            raise ViolationError(f"{job} killed its worker {lost} times and is charged with {attempt.losses}")

    # -- what became of it --------------------------------------------------------------------------

    def renewed(self, now: Ms, tokens: Iterable[str], answers: Iterable[str]) -> None:
        """A lease goes on within the time limit, and whoever is wanted gone is told so."""
        for token, answer in zip(tokens, answers, strict=True):
            this = self.begun[token]
            if answer == "gone":
                continue
            if now > this.limit:
                raise ViolationError(f"{this.job} was renewed past its time limit")
            if answer == "ok" and this.unwanted:
                raise ViolationError(f"{this.job} was cancelled and its worker is not told")
            this.until = now + LEASE_MS

    def settled(self, twin: MemoryStore, settlement: Settlement, answer: Answer) -> None:
        """An ending was recorded."""
        self.ended.add(settlement.token)
        if answer is not Answer.SETTLED:
            return
        this = self.begun[settlement.token]
        if this.unwanted:
            raise ViolationError(f"{this.job} was cancelled and settled all the same")
        if settlement.token in self.settled_once:
            raise ViolationError("a token settled twice")
        self.settled_once.add(settlement.token)
        if this.digest != twin.jobs[this.job].definition.digest:
            raise ViolationError(f"{this.job} was settled by what another command did")
        held = settlement.outcome is Outcome.PASSED and twin.jobs[settlement.job].definition.verifies
        if settlement.place is Place.COMPLETED or held:
            self.receipts.append(settlement.receipt)
        self._charge_ending(twin, settlement, this)
        self._opened(twin, settlement)

    def _opened(self, twin: MemoryStore, settlement: Settlement) -> None:
        """A look that ended with a no opened the job that it looked at; that job starts anew."""
        job = twin.jobs[settlement.job].definition.verifies
        if job and settlement.outcome is Outcome.FAILED and settlement.fresh:
            self.anew(job)
            if twin.jobs[job].place is Place.COMPLETED or job not in twin.regressed:
                raise ViolationError(f"{job} does not hold and is {twin.jobs[job].place}")

    def _charge_ending(self, twin: MemoryStore, settlement: Settlement, this: Begun) -> None:
        if settlement.duration_ms:
            self.solo.discard(this.job)
        written = [entry.event for entry in twin.journal[self.read :] if entry.job == this.job]
        if this.armed or "job.held" in written:  # its queue is stopped
            return
        if settlement.fresh:
            self.tried[this.job] = 0
            if settlement.duration_ms:
                self.lost[this.job] = 0
        else:
            self.tried[this.job] = self.tried.get(this.job, 0) + 1
        if settlement.place is Place.WAITING:
            self.denied[this.job] = twin.now

    def armed(self, token: str) -> None:
        """The next slot waits beside this attempt."""
        self.begun[token].armed = True
        self.tried[self.begun[token].job] = 0

    def unwanted(self, tokens: Iterable[str]) -> None:
        """Attempts that somebody wants gone."""
        for token in tokens:
            self.begun[token].unwanted = True

    def rescued(self, twin: MemoryStore, before: dict[str, Lease]) -> None:
        """Only what ended by itself was taken back, and charged as it deserves."""
        for token in before.keys() - twin.leases.keys():
            this = self.begun[token]
            self.ended.add(token)
            if twin.now <= this.until + GUARD_MS:
                raise ViolationError(f"{this.job} was taken back while its command may run")
            if twin.now < self.gap_at + AFTER_GAP_MS:
                raise ViolationError(f"{this.job} was taken back before its worker could renew after a gap")
            state = twin.jobs.get(this.job)
            if this.armed or before[token].stopped or state is None or before[token].revision != state.revision:
                continue
            self._lose(twin, this)

    def _lose(self, twin: MemoryStore, this: Begun) -> None:
        state = twin.jobs[this.job]
        self.solo.add(this.job)
        self.lost[this.job] = self.lost.get(this.job, 0) + (this.alone and this.at > self.gap_at)
        charged = self.lost[this.job]
        if charged >= LOSSES and state.definition.cyclic:
            self.anew(this.job)
            self.slots.pop(this.job, None)
        elif (charged >= LOSSES) != (state.place is Place.DEAD):
            raise ViolationError(f"{this.job} killed its worker {charged} times and is {state.place}")

    # -- after every step ---------------------------------------------------------------------------

    def check(self, twin: MemoryStore) -> None:
        """Every attempt that is gone was ended by somebody; slots only go on; phases are reached in order, once."""
        if self.live and (gone := self.live - twin.leases.keys()):
            for token in gone - self.ended - self.voided:
                if not self.begun[token].armed:
                    raise ViolationError(f"the attempt at {self.begun[token].job} is gone without an ending")
        self.live = set(twin.leases)
        self.ended.clear()
        self._check_slots(twin)
        if len(twin.journal) > self.read:
            self._check_reached(twin)
        if [each.packed for each in twin.receipts] != self.receipts[self.dropped :]:
            raise ViolationError(f"the receipts are not those of what was verified: {self.receipts}")

    def _check_reached(self, twin: MemoryStore) -> None:
        for entry in twin.journal[self.read :]:
            if entry.event == "phase.reached":
                if entry.data["phase"] <= self.reached:
                    raise ViolationError(f"phase {entry.data['phase']} was reached after {self.reached}")
                self.reached = entry.data["phase"]
        self.read = len(twin.journal)

    def applied(self, twin: MemoryStore) -> None:
        """A load was carried on: slots of another schedule start anew."""
        for job in [job for job in self.slots if job not in twin.jobs or not twin.jobs[job].slot]:
            del self.slots[job]

    def _check_slots(self, twin: MemoryStore) -> None:
        """The slots of a cyclic job are in order; 0 says that they start anew, as looks do with their jobs."""
        for job, state in twin.jobs.items():
            if state.slot and not state.definition.verifies:
                if state.slot < self.slots.get(job, 0):
                    raise ViolationError(f"{job} goes back from slot {self.slots[job]} to {state.slot}")
                self.slots[job] = state.slot
            elif job in self.slots:
                del self.slots[job]


def unfinished_before(twin: MemoryStore, phase: int) -> list[str]:
    """Jobs of earlier phases that have not ended well."""
    return [
        job
        for job, state in twin.jobs.items()
        if state.definition.phase < phase and not state.definition.cyclic and state.place is not Place.COMPLETED
    ]

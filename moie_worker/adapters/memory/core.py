"""The state of one plan and the few moves that change it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from moie_worker.adapters.memory.lists import Lists
from moie_worker.plan.approval import awaits
from moie_worker.plan.definition import Definition, PhaseDefinition
from moie_worker.plan.flow import SOVEREIGN, Approval, Breaker, Flags, JournalEntry, Stopped
from moie_worker.plan.letters import Measured, Run, RunHistory
from moie_worker.plan.limits import BATCH, FIRST_ESTIMATE_MS, PRIORITY_MS, RUNS_KEPT
from moie_worker.plan.needs import frontier, unmet
from moie_worker.plan.states import Place
from moie_worker.plan.status import is_imported
from moie_worker.plan.times import Ms, moment
from moie_worker.ports import Waiting


@dataclass(slots=True)
class JobState:
    """What changes of a job. `score` is its due time where its place has one."""

    definition: Definition
    revision: int
    place: Place
    attempts: int = 0
    losses: int = 0
    solo: bool = False
    offers: int = 0
    duration_ms: int = 0
    first_at: Ms = 0
    score: float = 0
    slot: Ms = 0
    token: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def start_anew(self) -> None:
        """Forget what was tried."""
        self.attempts = self.losses = self.first_at = 0
        self.solo = False


@dataclass(slots=True)
class Lease:
    """A running attempt."""

    job: str
    revision: int
    nonce: str
    worker: str
    alone: bool
    slot: Ms
    begun_at: Ms
    expires: Ms
    ends: Ms  # renewals after this are refused
    stopped: Stopped | None = None
    canary: Ms = 0  # the one job that a stopped queue tries: when the queue was stopped
    armed: bool = False  # the next slot of an overlapping job was armed while this one runs


@dataclass(slots=True)
class Letter:
    """The dead letter of a job."""

    reason: str
    attempts: int
    first_at: Ms
    last_at: Ms
    deaths: int = 1
    replayed_at: Ms | None = None


class ManualTime:
    """The time of a twin: it moves only when told."""

    def __init__(self, now: Ms = 1_800_000_000_000) -> None:
        self.now = now

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.now += ms


class Core:
    """Data and primitives; the steps of the protocol are built of these."""

    def __init__(self, plan: str, time: ManualTime) -> None:
        self.time = time
        self.plan = plan
        self.flags = Flags(name=plan)
        self.meta: dict[str, Any] = {}
        self.phases: dict[int, PhaseDefinition] = {}
        self.approvals: dict[int, Approval] = {}
        self.jobs: dict[str, JobState] = {}
        self.lists = Lists()
        self.woken: list[list[str]] = []
        self.leases: dict[str, Lease] = {}
        self.hints: dict[str, dict[str, Ms]] = {}
        self.estimates: dict[str, float] = {}
        self.turns = 0
        self.gap_at: Ms = 0
        self.letters: dict[str, Letter] = {}
        self.histories: dict[str, RunHistory] = {}
        self.breakers: dict[str, Breaker] = {}
        self.regressed: dict[str, Ms] = {}  # jobs that held and hold no more, and since when
        self.freed: dict[str, Ms] = {}  # when the last run of a cyclic job ended
        self.journal: list[JournalEntry] = []
        self.receipts: list[Waiting] = []
        self.seal_lines: list[str] = []

    @property
    def now(self) -> Ms:
        return self.time.now

    def set(self, **changes: Any) -> None:
        self.flags = replace(self.flags, **changes)

    def log(self, event: str, job: str = "", who: str = "", why: str = "", **data: Any) -> None:
        """Write a line into the journal."""
        number = f"{self.now}-{len(self.journal)}"
        self.journal.append(JournalEntry(number, self.now, event, job, who, why, data))

    # -- what is known about phases ---------------------------------------------------------------

    def awaits(self, phase: int) -> bool:
        """Whether a phase asks for an approval that it does not have for its present jobs."""
        asks = self.phases.get(phase)
        return asks is not None and awaits(asks, self.approvals.get(phase))

    def request(self, phase: PhaseDefinition) -> Approval:
        """What a phase asks for its present jobs, new where it did not ask yet."""
        known = self.approvals.get(phase.id)
        return known if known and known.digest == phase.digest else Approval(phase.digest)

    def ask(self, phase: int) -> None:
        """The clock of a request starts when its phase is first awaited."""
        if not self.awaits(phase):
            return
        request = self.request(self.phases[phase])
        if not request.asked:
            self.approvals[phase] = replace(request, asked=self.now)
            self.log("phase.asked", phase=phase)

    def open_phases(self) -> frozenset[int]:
        """Phases with an unfinished job that is not cyclic, or without the approval they ask for."""
        unfinished = {
            state.definition.phase
            for state in self.jobs.values()
            if not state.definition.cyclic and state.place != Place.COMPLETED
        }
        return frozenset(p for p in self.phases if p in unfinished or self.awaits(p))

    def advance_frontier(self) -> None:
        """Compute the frontier again; record what was reached, wake what waited for it."""
        if self.flags.loading or not self.flags.revision:
            return  # a plan without phases yet is not sovereign
        old, new = self.flags.frontier, frontier(self.open_phases())
        if new == old and new <= self.flags.reached:
            return
        if self.flags.reached >= 0 and any(self.flags.reached < phase <= new for phase in self.phases):
            self.before_promotion()
        self.set(frontier=new)
        # A sovereign plan is past phases that it never had; those that are added then are reached all the same.
        for phase in sorted(p for p in self.phases if min(old, self.flags.reached) < p <= new):
            self.wake(f"phase:{phase}")
            if phase > self.flags.reached:
                self.set(reached=phase)
                self.log("phase.reached", phase=phase)
        if new == SOVEREIGN != old:
            self.set(sovereign_at=self.now)
            self.log("plan.sovereign", imported=sum(is_imported(s.place, s.evidence) for s in self.jobs.values()))
        self.ask(new)

    def before_promotion(self) -> None:
        """A phase is about to be reached."""

    # -- moves ------------------------------------------------------------------------------------

    def unmet(self, state: JobState) -> str | None:
        """What a job still waits for."""
        return unmet(
            state.definition,
            front=self.flags.frontier,
            reached=self.flags.reached,
            awaits=self.awaits,
            completed=self.is_completed,
        )

    def is_completed(self, job: str) -> bool:
        state = self.jobs.get(job)
        return state is not None and state.place == Place.COMPLETED

    def move(self, job: str, place: Place, score: float = 0) -> None:
        """Put a job into a place; the only writer of places."""
        self.lists.remove(job)
        state, was = self.jobs[job], self.jobs[job].place
        state.place, state.score = place, score
        if place != Place.RUNNING:
            state.token = ""
        if place == Place.COMPLETED and was != Place.COMPLETED:
            self.wake(f"job:{job}")
        if place in {Place.COMPLETED, Place.CANCELLED}:  # verified again, or taken out of the plan
            self.close_regression(job)

    def close_regression(self, job: str) -> None:
        """Whatever was said of a regression is over."""
        look = self.jobs[job].definition.reverified_by
        if not look or self.regressed.pop(job, None) is None:
            return
        self.jobs[look].evidence = {}
        if self.is_completed(job):
            self.log("job.recovered", job)

    def park(self, job: str, what: str) -> None:
        if self.jobs[job].definition.verifies:
            self.jobs[job].slot = 0  # it counts from when its job is verified
        self.move(job, Place.PARKED)
        self.lists.add(job, what, self.now)

    def wake(self, what: str) -> None:
        """Let everything that waits for something be looked at again."""
        if jobs := self.lists.take(what):
            self.woken.append(jobs)

    def route(self, job: str) -> None:
        """Send a job to where it belongs now: parked, timed or ready."""
        state = self.jobs[job]
        if what := self.unmet(state):
            self.park(job, what)
        elif state.definition.verifies and state.slot == 0:
            state.slot = self.now + state.definition.delay_ms
            self.move(job, Place.TIMED, state.slot)
        elif state.slot > self.now:
            self.move(job, Place.TIMED, state.slot)
        else:
            self.ready(job, self.now)

    def ready(self, job: str, due: Ms) -> None:
        """Due now; priority is a head start, so nothing starves."""
        self.move(job, Place.READY, due - self.jobs[job].definition.priority * PRIORITY_MS)

    def drain(self) -> bool:
        """Route at most one batch of what was woken; True when there is more."""
        for _ in range(BATCH):
            if not self.woken:
                return False
            job = self.woken[0].pop(0)
            if not self.woken[0]:
                self.woken.pop(0)
            if job in self.jobs and self.jobs[job].place == Place.PARKED:
                self.route(job)
        return bool(self.woken)

    def expected_ms(self, queue: str) -> float:
        """What a job of a queue takes that never ran itself."""
        return self.estimates.get(queue, FIRST_ESTIMATE_MS)

    def bury(self, job: str, reason: str) -> None:
        """Leave a dead letter, or add to the one that is there."""
        attempts = self.jobs[job].attempts
        old = self.letters.get(job)
        if old is None:
            self.letters[job] = Letter(reason, attempts, self.now, self.now)
        else:
            self.letters[job] = Letter(reason, old.attempts + attempts, old.first_at, self.now, deaths=old.deaths + 1)
        self.log("job.dead", job, why=reason)

    def keep_receipt(self, packed: str) -> None:
        """Add a receipt behind all others; its id grows though time stands still."""
        last = self.receipts[-1].id if self.receipts else "0-0"
        at, count = map(int, last.split("-"))
        self.receipts.append(Waiting(f"{at}-{count + 1}" if at >= self.now else f"{self.now}-0", packed))

    def record_run(self, job: str, measured: Measured) -> None:
        """Add a run to the log and to the counters."""
        old = self.histories.get(job, RunHistory(job, 0, 0, 0, ()))
        self.freed[job] = self.now
        recent = [Run(moment(self.now), measured), *old.recent][:RUNS_KEPT]
        failed = sum(bool(run.measured.error) for run in recent)
        self.histories[job] = RunHistory(job, old.runs + 1, old.failures + bool(measured.error), failed, recent)

    def stop_attempts(self, job: str, why: Stopped) -> None:
        """Want every running attempt at a job gone."""
        for lease in self.leases.values():
            if lease.job == job:
                lease.stopped = why

    def forget(self, job: str) -> None:
        """Drop a job that the plan no longer has."""
        self.lists.remove(job)
        self.regressed.pop(self.jobs[job].definition.verifies, None)
        for table in (self.jobs, self.letters, self.histories, self.freed):
            table.pop(job, None)

    def of(self, places: Iterable[Place]) -> list[str]:
        """Jobs in some places, ordered as Redis orders a sorted set."""
        wanted = frozenset(places)
        found = [(state.score, job) for job, state in self.jobs.items() if state.place in wanted]
        return [job for _, job in sorted(found)]

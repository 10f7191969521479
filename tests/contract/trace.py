"""A few words for short stories about a store: who begins what, and how it ends."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.flow import Answer, Attempt, Hint, JobView, Settlement
from moie_worker.plan.letters import RunHistory
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, Store, job, plan

WHO = ("ops", "because")
RUN = '{"duration_s":0.1,"cpu_s":0,"max_rss_bytes":0,"error":""}'
SHORT = 12
LATE_MS = 32_001  # a lease of 30 s is over and the guard had its 2 s


class Trace:
    """One plan in one store."""

    def __init__(
        self, store: Store, time: ManualTime, advance: Callable[[int], None], another: Callable[[], Store]
    ) -> None:
        self.store = store
        self.time = time
        self.advance = advance
        self.another = another  # the same plan as another process sees it
        self._names = 0
        self._alone: dict[str, Hint] = {}  # hints of one job that were published

    # -- steps ------------------------------------------------------------------------------------

    def load(self, *jobs: Definition, approvals: Iterable[int] = ()) -> None:
        """Load a plan over what is there, to the end."""
        self.load_plan(plan(*jobs, approvals=tuple(approvals)))

    def load_plan(self, compiled: Compiled) -> None:
        self.store.load(compiled, self.store.overview().flags.revision, *WHO)
        self.load_plan_to_its_end()

    def load_plan_to_its_end(self) -> None:
        """Apply what was committed, and look at all that was woken."""
        while self.store.apply():
            pass
        while self.store.reserve("default", 0, "none").more:
            pass

    def offer(self, window: int = 4, queue: str = "default") -> list[Hint]:
        """What a beat publishes."""
        self._names += 1
        hints = list(self.store.reserve(queue, window, f"h{self._names}").hints)
        for hint in hints:
            self.store.sent(hint)
        self._alone |= {hint.jobs[0]: hint for hint in hints if len(hint.jobs) == 1}
        return hints

    def begin(self, hint: Hint) -> list[Attempt]:
        """What a worker takes of a hint."""
        self._names += 1
        return self.store.begin(hint, f"n{self._names}", "w", LEASE)

    def start(self, job: str, queue: str = "default") -> tuple[Hint, Attempt]:
        """Offer and begin one job, alone."""
        self.offer(64, queue)
        hint = self.hint(job)
        return hint, self.begin(hint)[0]

    def hint(self, job: str) -> Hint:
        """The hint of one job that was published last."""
        return self._alone.pop(job)

    def finish(self, hint: Hint, attempt: Attempt, place: Place = Place.COMPLETED, **changes: Any) -> Answer:
        """Settle one attempt, the last of its hint."""
        return self.store.settle([ending(attempt, place, **changes)], hint, done=True)[0]

    def do(self, job: str, place: Place = Place.COMPLETED, **changes: Any) -> None:
        """Run a job to an end."""
        assert self.finish(*self.start(job), place, **changes) is Answer.SETTLED

    def lose(self) -> int:
        """Let every lease end without a word."""
        self.advance(LATE_MS)
        return self.store.rescue()

    def make_short(self) -> None:
        """Run the first phase of `short_jobs`, so that its queue is taken for one of short jobs."""
        for hint in self.offer(SHORT):
            self.store.settle([ending(each, duration_ms=1) for each in self.begin(hint)], hint, done=True)

    def beat(self) -> None:
        """A heartbeat, a moment later."""
        self.advance(1)
        self.store.beat("report", "w")
        self.advance(1)

    # -- what is seen -----------------------------------------------------------------------------

    def place(self, job: str) -> Place:
        return self.job(job).place

    def job(self, job: str) -> JobView:
        return self.store.job(job)

    def events(self, job: str = "") -> list[str]:
        """The journal of a job, or of the plan."""
        return [entry.event for entry in self.store.read_journal(1000) if entry.job == job]

    def history(self, job: str) -> RunHistory:
        """The runs of a cyclic job."""
        if isinstance(self.store, MemoryStore):
            return self.store.history(job)
        return RedisRunLog(self.store.client, self.store.plan).history(job)

    def offered(self, window: int = 64, queue: str = "default") -> set[str]:
        """Jobs that a beat would publish now."""
        return {job for hint in self.offer(window, queue) for job in hint.jobs}

    def recount(self) -> None:
        """What is counted is what is there: places, phases, and each job once."""
        overview = self.store.overview()
        views = list(self.store.all_jobs())
        assert len({view.definition.id for view in views}) == len(views)
        counted = Counter((view.definition.phase, view.definition.cyclic, view.place) for view in views)
        assert dict(overview.counts) == dict(counted)
        unfinished = {v.definition.phase for v in views if not v.definition.cyclic and v.place is not Place.COMPLETED}
        awaiting = {
            phase.id
            for phase in overview.phases
            if phase.approval
            and not (
                (request := overview.approvals.get(phase.id))
                and request.digest == phase.digest
                and len(request.yes) >= phase.persons
            )
        }
        if not overview.flags.loading:
            assert overview.open_phases == unfinished & {phase.id for phase in overview.phases} | awaiting


def ending(attempt: Attempt, place: Place = Place.COMPLETED, **changes: Any) -> Settlement:
    """How an attempt may end: passed, unless something else is said."""
    plain = Settlement(attempt.token, attempt.definition.id, Outcome.PASSED, place, duration_ms=1000)
    if place is Place.DEAD:
        plain = replace(plain, outcome=Outcome.BROKEN, reason="cannot be run")
    if place is Place.WAITING:
        plain = replace(plain, outcome=Outcome.FAILED, fresh=True)
    return replace(plain, **changes)


def ran(attempt: Attempt, slot: int, *, ok: bool = True, **changes: Any) -> Settlement:
    """A run of a cyclic job with the slot that comes next."""
    outcome, measured = (Outcome.PASSED, RUN) if ok else (Outcome.FAILED, RUN.replace('"error":""', '"error":"no"'))
    plain = ending(attempt, Place.TIMED, outcome=outcome, due=slot, slot=slot, run=ok, fresh=True, measured=measured)
    return replace(plain, **changes)


def short_jobs(count: int) -> list[Definition]:
    """So many jobs that come after a few short ones."""
    return [job(f"a{n:02}", 1) for n in range(SHORT)] + [job(f"b{n:03}", 2) for n in range(count)]

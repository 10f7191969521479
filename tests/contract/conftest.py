"""Both stores with a time that moves only when told, for whatever must hold of either."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

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

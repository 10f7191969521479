"""Plans of growing size: how long `moie load` takes, and a heartbeat once they are loaded."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from bench import server
from bench.moie import checks, finish, loading
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.heartbeat import beat

PHASES = 10
BEATS = 20  # timed, after one that warms
DEADLINE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Size:
    """What a plan of one size costs."""

    jobs: int
    load_s: float  # the whole command: start, reading, validation, staging, applying
    beat_ms: float  # median
    redis_bytes: float  # a job


def measure(sizes: Sequence[int]) -> list[Size]:
    """Load one plan of each size beside the others, then let their hearts beat in turns."""
    with server.running() as redis, tempfile.TemporaryDirectory(prefix="moie-bench-") as name:
        folder = Path(name)
        env = {"MOIE_REDIS_URL": redis.url, "MOIE_HOME": name}
        loads = [_load(redis, folder, env, jobs) for jobs in sizes]
        beats = _beats(redis, sizes)
        return [
            Size(jobs, seconds, 1000 * median(beats[jobs]), used / jobs)
            for jobs, (seconds, used) in zip(sizes, loads, strict=True)
        ]


def _load(redis: server.Server, folder: Path, env: dict[str, str], jobs: int) -> tuple[float, int]:
    """Seconds of one load, and the bytes of Redis that it took. No beat runs here, so what it would wake is woken."""
    phases = [checks(jobs // PHASES, phase) for phase in range(1, PHASES + 1)]
    before = redis.client.info("memory")["used_memory_dataset"]
    began = time.monotonic()
    with loading(folder, env, f"size-{jobs}", phases) as loader:
        finish(loader, folder)
    seconds = time.monotonic() - began
    store = RedisStore(connect(redis.url), f"size-{jobs}")
    while store.reserve("default", 0, "bench").more:
        pass
    return seconds, redis.client.info("memory")["used_memory_dataset"] - before


def _beats(redis: server.Server, sizes: Sequence[int]) -> dict[int, list[float]]:
    """Seconds of each heartbeat, one plan after the other, so that a busy moment of the machine meets all of them."""
    client = connect(redis.url, deadline=DEADLINE)
    fleet, taken = RedisFleet(client), {jobs: list[float]() for jobs in sizes}
    for number in range(BEATS + 1):
        for jobs, seconds in taken.items():
            began = time.monotonic()
            beat(RedisStore(client, f"size-{jobs}"), fleet, "bench")
            if number:
                seconds.append(time.monotonic() - began)
    return taken

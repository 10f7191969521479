"""Snapshots of plans of growing size: how long one takes, what it costs, and how long Redis serves nobody else."""

import json
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
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.heart.snapshots import Keeper
from moie_worker.plan.flow import Settlement
from moie_worker.plan.snapshot import Kind
from moie_worker.plan.states import Outcome, Place

PHASES = 2  # of which the first is done: half of the jobs have evidence
ROUNDS = 9  # timed, after one that warms
WAIT = timedelta(seconds=30)
ASKED = 10_000  # jobs of the plan that the target is for
EVIDENCE = json.dumps(
    {
        "outcome": "passed", "exit_code": 0, "head": "42 rows\n", "output_bytes": 8, "sha256": "5" * 64,
        "duration_s": 0.012345, "cpu_s": 0.001234, "max_rss_bytes": 3_500_000, "attempt": 1, "host": "bench",
        "worker": "celery@bench", "started_at": "2026-01-01T00:00:00.000+00:00",
        "ended_at": "2026-01-01T00:00:00.012+00:00",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """What a snapshot of a plan of one size costs; medians."""

    jobs: int
    ms: float  # all of it: in Redis, read, packed, written to the disk and to Redis
    our_cpu_ms: float
    redis_cpu_ms: float
    held_ms: float  # the longest single step of Redis
    file_bytes: int


@dataclass(frozen=True, slots=True)
class _Round:
    ms: float
    our_cpu_ms: float
    redis_cpu_ms: float
    held_ms: float


def measure(sizes: Sequence[int]) -> list[Taken]:
    """Load and half complete one plan of each size, each in a Redis of its own, and take snapshots of it."""
    return [_measure(jobs) for jobs in sizes]


def _measure(jobs: int) -> Taken:
    with server.running() as redis, tempfile.TemporaryDirectory(prefix="moie-bench-") as name:
        folder = Path(name)
        env = {"MOIE_REDIS_URL": redis.url, "MOIE_HOME": name}
        with loading(folder, env, "saved", [checks(jobs // PHASES, phase) for phase in range(1, PHASES + 1)]) as loader:
            finish(loader, folder)
        client = connect(redis.url, deadline=WAIT)
        store = RedisStore(client, "saved")
        _complete(store, jobs // PHASES)
        shelf = SnapshotFolder(folder / "snapshots", "saved")
        keeper = Keeper(store, (shelf, RedisShelf(client, "saved")))
        rounds = [_take(keeper, redis) for _ in range(ROUNDS + 1)][1:]
        newest = shelf.get(shelf.index()[-1].name) or b""
        return Taken(
            jobs,
            ms=median(each.ms for each in rounds),
            our_cpu_ms=median(each.our_cpu_ms for each in rounds),
            redis_cpu_ms=median(each.redis_cpu_ms for each in rounds),
            held_ms=median(each.held_ms for each in rounds),
            file_bytes=len(newest),
        )


def _complete(store: RedisStore, jobs: int) -> None:
    """Bring the first phase to its end with what a check leaves."""
    done = 0
    while done < jobs:
        for hint in store.reserve("default", 512, f"bench-{done}").hints:
            attempts = store.begin(hint, f"bench-{hint.id}", "celery@bench", WAIT)
            ended = [
                Settlement(each.token, each.definition.id, Outcome.PASSED, Place.COMPLETED, evidence=EVIDENCE)
                for each in attempts
            ]
            store.settle(ended, hint, done=True)
            done += len(ended)


def _take(keeper: Keeper, redis: server.Server) -> _Round:
    redis.client.config_set("slowlog-log-slower-than", 100)
    redis.client.slowlog_reset()
    cpu, ours, began = _redis_cpu_s(redis), time.process_time(), time.perf_counter()
    keeper.take(Kind.MANUAL)
    ms, our_cpu_ms = 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - ours)
    redis_cpu_ms = 1000 * (_redis_cpu_s(redis) - cpu)
    held = max((entry["duration"] for entry in redis.client.slowlog_get(100)), default=0) / 1000
    return _Round(ms, our_cpu_ms, redis_cpu_ms, held)


def _redis_cpu_s(redis: server.Server) -> float:
    used = redis.client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

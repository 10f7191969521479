"""The same checks as a plan: a worker and a beat as people run them, and plans loaded by the command line."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

from bench.fleet import process, until
from bench.server import Server
from moie_worker.adapters.redis.keys import Keys

NAMES = count(1)
MOIE = "from moie_worker.doors.cli.main import main; main()"
Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One worker and one beat on a server of their own."""

    server: Server
    folder: Path
    env: dict[str, str]
    parts: dict[str, int]  # name → process id

    def run_plan(self, jobs: int) -> float:
        """Seconds from the moment a plan of so many `true` is committed to Redis to its last settled check."""
        name = f"bench-{next(NAMES)}"
        key, redis = Keys(name), self.server.client
        with loading(self.folder, self.env, name, [checks(jobs)]) as loader:
            until("the plan is committed", lambda: _failed(loader) or redis.hexists(key("plan"), "revision"), 60, 0.002)
            began = time.monotonic()
            until("the plan is sovereign", lambda: _failed(loader) or redis.hexists(key("plan"), "sovereign_at"))
            seconds = time.monotonic() - began
            finish(loader, self.folder)
        if redis.hgetall(key("counts")) != {"1:job:completed": str(jobs)}:
            raise RuntimeError(f"not every check was completed: {redis.hgetall(key('counts'))}")
        return seconds

    def idle_with(self, jobs: int) -> None:
        """Load so many cyclic jobs of 10 minutes each, and wait until all of them had their first run."""
        name = f"bench-{next(NAMES)}"
        every = [job | {"status": "cyclic", "schedule": {"every": "10m"}} for job in checks(jobs)]
        with loading(self.folder, self.env, name, [every]) as loader:
            finish(loader, self.folder)
        timed = Keys(name)("timed")
        until("the cyclic jobs wait for their next time", lambda: self.server.client.zcard(timed) == jobs)


def checks(number: int, phase: int = 1) -> list[Job]:
    """Jobs that are verified by the shortest command there is."""
    return [{"id": f"{phase}.{n}", "task": "true", "verification_cmd": "true"} for n in range(number)]


@contextmanager
def loading(
    folder: Path, env: dict[str, str], plan: str, phases: Sequence[Sequence[Job]]
) -> Iterator[subprocess.Popen[bytes]]:
    """`moie load` of a document with these phases, under way."""
    document = folder / f"{plan}.json"
    written = [{"id": n, "name": f"PHASE {n}", "jobs": jobs} for n, jobs in enumerate(phases, 1)]
    document.write_text(json.dumps({"version": 3, "phases": written}))
    with process(folder / "load.log", env, "-c", MOIE, "load", str(document), "--plan", plan) as loader:
        yield loader


def _failed(loader: subprocess.Popen[bytes]) -> bool:
    return loader.poll() not in (None, 0)


def finish(loader: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a load. Raises RuntimeError with what it said when it failed."""
    if loader.wait() != 0:
        raise RuntimeError(f"moie load failed:\n{(folder / 'load.log').read_text()[-2000:]}")


@contextmanager
def fleet(server: Server, flower: bool = False) -> Iterator[Fleet]:
    """Start worker and beat, with Flower where it is wanted; give them a small plan first, so that they are warm."""
    commands = {"worker": ("worker", "--loglevel", "WARNING"), "beat": ("beat", "--loglevel", "WARNING")}
    with tempfile.TemporaryDirectory(prefix="moie-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        env = {"MOIE_REDIS_URL": server.url, "MOIE_HOME": name, "FLOWER_BASIC_AUTH": f"moie:{token_hex(16)}"}
        if flower:
            commands["flower"] = ("flower", f"--unix_socket={folder / 'flower.sock'}", "--max_tasks=5000")
        parts = {"redis": server.pid}
        for part, command in commands.items():
            started = process(folder / f"{part}.log", env, "-m", "celery", "-A", "moie_worker", *command)
            parts[part] = stack.enter_context(started).pid
        running = Fleet(server, folder, env, parts)
        running.run_plan(10)
        yield running

"""The same checks as a plan: a worker and a beat as people run them, and plans loaded by the command line."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import token_hex

from bench.fleet import CORES, process, until
from bench.server import Server
from moie_worker.adapters.redis.keys import Keys

NAMES = count(1)
MOIE = "from moie_worker.doors.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Fleet:
    """One worker and one beat on a server of their own."""

    server: Server
    folder: Path
    env: dict[str, str]
    parts: dict[str, int]  # name → process id

    def run_plan(self, jobs: int) -> float:
        """Seconds from the moment a plan of so many `true` stands in Redis to its last settled check."""
        plan = f"bench-{next(NAMES)}"
        checks = [{"id": f"1.{n}", "task": "true", "verification_cmd": "true"} for n in range(jobs)]
        unfinished = Keys(plan)("phases:open")
        with self._loading(plan, checks) as loader:
            until("the plan stands", lambda: self.server.client.zcard(unfinished) > 0, every_s=0.002)
            began = time.monotonic()
            until("the plan is through", lambda: self.server.client.zcard(unfinished) == 0)
            seconds = time.monotonic() - began
            if loader.wait() != 0:
                raise RuntimeError(f"moie load failed, see {self.folder}")
        return seconds

    def load_cyclic(self, jobs: int) -> None:
        """Load so many jobs of 10 minutes each."""
        every = [
            {
                "id": f"1.{n}",
                "task": "idle",
                "status": "cyclic",
                "schedule": {"every": "10m"},
                "verification_cmd": "true",
            }
            for n in range(jobs)
        ]
        with self._loading(f"bench-{next(NAMES)}", every) as loader:
            if loader.wait() != 0:
                raise RuntimeError(f"moie load failed, see {self.folder}")

    @contextmanager
    def _loading(self, plan: str, jobs: list[dict[str, object]]) -> Iterator[subprocess.Popen[bytes]]:
        document = self.folder / f"{plan}.json"
        document.write_text(json.dumps({"version": 3, "phases": [{"id": 1, "name": "BENCH", "jobs": jobs}]}))
        with process(self.folder / "load.log", self.env, "-c", MOIE, "load", str(document), "--plan", plan) as loader:
            yield loader


@contextmanager
def fleet(server: Server, flower: bool = False) -> Iterator[Fleet]:
    """Start worker and beat, with Flower where it is wanted; give them a small plan first, so that they are warm."""
    commands = {"worker": ("worker", f"-c{CORES}", "-Q", "default", "--loglevel", "WARNING")}
    commands["beat"] = ("beat", "--loglevel", "WARNING")
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

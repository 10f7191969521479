"""The same checks without us: by xargs, and by a bare Celery application."""

import importlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fleet import CORES, process, until
from bench.server import Server


def xargs(jobs: int) -> float:
    """Seconds that xargs takes for so many `sh -c true`, as many at once as there are cores."""
    names = "\n".join(map(str, range(jobs)))
    began = time.monotonic()
    subprocess.run(["xargs", f"-P{CORES}", "-n1", "sh", "-c", "true"], input=names, text=True, check=True)
    return time.monotonic() - began


@contextmanager
def bare_celery(server: Server, folder: Path) -> Iterator[tuple[Callable[[int], float], int]]:
    """A running worker of the bare application: what sends it checks and waits for them, and its process id."""
    env = {"BENCH_BROKER": server.celery_url, "BENCH_REDIS": server.url}
    os.environ.update(env)
    check = importlib.import_module("bench.bare_app").check

    def run(jobs: int) -> float:
        server.client.delete("outcomes")
        began = time.monotonic()
        for _ in range(jobs):
            check.delay("true")
        until("bare Celery", lambda: int(server.client.hget("outcomes", "0") or 0) >= jobs)
        return time.monotonic() - began

    arguments = ("-m", "celery", "-A", "bench.bare_app", "worker", f"-c{CORES}", "--loglevel", "WARNING")
    with process(folder / "bare.log", env, *arguments) as worker:
        run(10)  # started, connected, warm
        yield run, worker.pid

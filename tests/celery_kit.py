"""Real worker and beat processes for tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from moie_worker.adapters.processes import LAUNCHER

ROOT = Path(__file__).parents[1]
Start = Callable[..., "subprocess.Popen[bytes]"]


def wait_until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Ask again and again; the one place where these tests wait for the world."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def tied(command: Sequence[str]) -> list[str]:
    """A command that dies with the thread that starts it: nothing outlives tests that were killed."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(int(signal.SIGKILL)), str(os.getpid()), "", *command]


@contextmanager
def celery_process(
    output: Path, args: list[str], env: dict[str, str], cwd: Path = ROOT / "tests" / "integration"
) -> Iterator["subprocess.Popen[bytes]"]:
    """`celery -A module …`, by default from the directory of the integration tests, ended gracefully with the block."""
    with output.open("ab") as file:
        process = subprocess.Popen(
            tied([sys.executable, "-W", "ignore", "-m", "celery", "-A", *args]),
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

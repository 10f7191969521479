"""The live views, in a terminal of 80 columns."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli_kit import Cli, cli

__all__ = ["cli"]

pytestmark = pytest.mark.integration

PLAN = """
version: 3
meta: {project: In a terminal}
phases:
  - id: 1
    name: ONE
    jobs: [{id: "1.1", task: a task, verification_cmd: "true"}]
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, *args: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moie_worker", *args],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def sees(self, words: str, seconds: float = 30) -> None:
        """Wait for words on the screen, whatever their colour."""
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"not within {seconds} s: {words!r} in {self.text[-3000:]}"
            self._read(0.1)

    def types(self, text: str) -> None:
        """As somebody at the keyboard."""
        os.write(self._master, text.encode())

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        os.kill(self.process.pid, signal.SIGINT)
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.1)
        self._read(0.1)
        return self.process.wait(1)

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return
        try:
            self.text += CONTROL.sub("", os.read(self._master, 65536).decode(errors="replace"))
        except OSError:  # the other end is closed
            time.sleep(seconds)

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*args: str) -> Terminal:
        opened.append(Terminal(*args))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    return str(file)


def test_the_status_stays_until_it_is_left(cli: Cli, plan: str, terminal: Callable[..., Terminal]) -> None:
    cli.says("load", plan)
    screen = terminal("status", "--watch")
    screen.sees("ONE – 0/1 (active)")
    cli.says("pause")
    screen.sees("PAUSED")
    assert screen.interrupt() == 0


def test_tables_have_room_in_a_terminal(cli: Cli, plan: str, terminal: Callable[..., Terminal]) -> None:
    cli.says("load", plan)
    screen = terminal("jobs")
    screen.sees("1.1  1      a task  parked")


@pytest.mark.parametrize(("answer", "left"), [("y", ["9.9"]), ("n", ["1.1"])])
def test_somebody_at_a_terminal_is_asked_before_most_jobs_go(
    cli: Cli, plan: str, terminal: Callable[..., Terminal], answer: str, left: list[str]
) -> None:
    cli.says("load", plan)
    Path(plan).write_text(PLAN.replace("1.1", "9.9"))
    screen = terminal("load", plan)
    screen.sees("This removes 1 of the 1 jobs of default. Load it? [y/N]:")
    screen.types(f"{answer}\n")
    screen.sees("loaded as" if answer == "y" else "Aborted!")
    assert [job["id"] for job in cli.json("jobs")] == left


def test_up_shows_the_plan_above_the_log_and_ends_by_ctrl_c(
    plan: str, terminal: Callable[..., Terminal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOIE_REDIS_URL", raising=False)
    monkeypatch.setenv("MOIE_HOME", str(tmp_path / "home"))
    screen = terminal("up", "--no-flower", "--plan", plan, "--heartbeat", "1s")
    screen.sees("SOVEREIGN since")
    screen.sees("beat: sent heartbeat")
    assert screen.interrupt() == 0
    assert screen.text.rstrip().endswith("stopped")

"""What tests of the shell runner share: looking at processes, waiting at the true edge, a worker to be killed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from moie_worker.adapters.guard import everyone, token_of
from moie_worker.ports import Command

PATIENCE_S = 10.0

HIDDEN = "(env -i setsid sh -c 'trap \"\" TERM HUP; echo x >> {file}; sleep 600; sleep 600' &)"
STARTED = "; while ! [ -s {file} ]; do :; done"

# A worker in short: runs each command under its token and a lease, in threads, and says what came of it.
WORKER = """
import os, sys, threading, time
from datetime import timedelta
from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.shell_children import children_here
from moie_worker.adapters.shell_rights import Rights
from moie_worker.ports import Command

lease, apart, token, commands = float(sys.argv[1]), sys.argv[2] == "apart", sys.argv[3], sys.argv[4:]
runner = ShellRunner(os.environ, rights=Rights(apart=apart))
runner.renewed([token], timedelta(seconds=lease), time.monotonic())
print(children_here().guard_pid, flush=True)

def work(text):
    evidence = runner.run(Command(text, timedelta(seconds=60), token=token))
    print(f"{evidence.outcome} {evidence.message}\\n", end="", flush=True)  # one write: the threads share it

for text in commands:
    threading.Thread(target=work, args=(text,)).start()
"""


def wait_until(true: Callable[[], object], description: str, patience_s: float = PATIENCE_S) -> None:
    """Look until it is true; fail with the description when it does not become so."""
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until, f"not within {patience_s} s: {description}"
        time.sleep(0.005)


def alive(token: str) -> list[int]:
    """The living processes of an attempt, wherever they are."""
    return [process.pid for process in everyone() if process.alive and token_of(process.pid) == token]


def is_alive(pid: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    return any(process.pid == pid and process.alive for process in everyone())


def zombies() -> list[int]:
    """Children of this process that nobody collected."""
    return [process.pid for process in everyone() if process.parent == os.getpid() and not process.alive]


def command(cmd: str | Sequence[str], token: str, timeout_s: float = 30, grace_s: float = 0.2) -> Command:
    """A command of an attempt."""
    return Command(cmd, timedelta(seconds=timeout_s), token=token, grace=timedelta(seconds=grace_s))


def sleepers(number: str) -> list[int]:
    """Processes of this machine that sleep for so long."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if number.encode() in words:
                found.append(int(entry.name))
    return found


def hidden(file: Path, number: str) -> str:
    """A command that leaves a daemon with neither its session nor its token, and waits until it runs."""
    return (HIDDEN + STARTED).format(file=file).replace("sleep 600", f"sleep {number}")


@contextmanager
def worker(
    token: str, *commands: str, lease_s: float = 60, apart: bool = False, before: Sequence[str] = ()
) -> Iterator["subprocess.Popen[str]"]:
    """A worker process that runs these commands; killed at the end, if it is still there."""
    arguments = [*before, sys.executable, "-c", WORKER, str(lease_s), "apart" if apart else "", token, *commands]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def guard_of(process: "subprocess.Popen[str]") -> int:
    """The process id of a worker's guard, which it tells first."""
    assert process.stdout is not None
    return int(process.stdout.readline())

"""Processes that belong to `moie up`: started in a group of their own, recognised again, ended to the last member."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launcher.py")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. Secrets go into `stdin` or `env`, never into `argv`, which every user of the machine can read."""

    argv: Sequence[str]
    env: Mapping[str, str] | None = None  # the whole environment; None: that of this process
    stdin: bytes = b""  # at most what a pipe holds, 64 KiB
    death_signal: signal.Signals = signal.SIGKILL  # what it gets when this process dies without a word
    lock: Path | None = None  # held as long as it or a child of it lives; its content is the pid
    umask: int = -1


def spawn(launch: Launch, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program as the leader of a new session, with both outputs going to `output`.

    Call it from the main thread: on Linux the death of the *thread* that started it counts as the parent's.
    """
    tie = [str(int(launch.death_signal)), str(os.getpid()), str(launch.lock or "")]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), *tie, *launch.argv],
        env=launch.env,
        stdin=subprocess.PIPE if launch.stdin else subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=launch.umask,
    )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # its exit code will tell
            pipe.write(launch.stdin)
    return process


def exited(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code once the leader is gone, after its group was killed; None while it lives.

    The group is killed before the leader is reaped: as long as that is a zombie, nobody else can have its number.
    """
    if process.returncode is None:
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
        kill_group(process.pid, signal.SIGKILL)
    return process.wait()


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signal a group. A group that is gone is not an error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        os.killpg(pid, number)


def stop(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """TERM to the leader, KILL to the group when it takes longer. Returns the exit code."""
    if process.returncode is None:
        os.kill(process.pid, signal.SIGTERM)  # Popen.send_signal would reap it, and its group be left
    if not wait_until(lambda: exited(process) is not None, timeout_s):
        kill_group(process.pid, signal.SIGKILL)
    return process.wait()


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """False when it did not come true in time."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_S)
    return True


def identity(pid: int) -> str | None:
    """What tells this process from an earlier or later one of the same number; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = BOOT_ID.read_text().strip()
    except OSError:
        return None if sys.platform == "linux" else _identity_by_ps(pid)
    return None if stat[0] in (b"Z", b"X") else f"{boot}:{stat[19].decode()}"


def _identity_by_ps(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False)
    return found.stdout.decode().strip() or None


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """The preferred port when nobody listens there, else one that the system gives. Raises OSError."""
    try:
        return _bound(preferred, host)
    except OSError:
        return _bound(0, host)


def _bound(port: int, host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])

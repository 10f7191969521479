"""The guard: commands do not outlive their worker, nor a lease that the worker slept through."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from moie_worker.adapters import guard as script
from moie_worker.adapters.guard import Book
from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.shell_children import children_here
from moie_worker.plan.states import Outcome
from tests.shell_kit import alive, command, guard_of, is_alive, wait_until, worker

pytestmark = pytest.mark.integration

WITHIN_S = 1.0
SLEEP = "sleep 600; true"
STUBBORN = "trap '' TERM; sleep 600; sleep 600"
DAEMON = "(setsid sleep 600 &); sleep 600; true"
HIDDEN = "(env -i sleep 600 &); sleep 600; true"  # without its token, but in the session of the command


@contextmanager
def guard() -> Iterator["subprocess.Popen[bytes]"]:
    """A guard of this process."""
    arguments = [sys.executable, "-I", "-S", str(script.__file__), str(os.getpid())]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        yield process


def told(process: "subprocess.Popen[bytes]", *lines: str) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.flush()


@contextmanager
def sleeper(token: str, **options: bool) -> Iterator["subprocess.Popen[bytes]"]:
    """Some process with a token in its environment."""
    with subprocess.Popen(["sleep", "600"], env={"MOIE_TOKEN": token} if token else {}, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def ticks(pid: int) -> int:
    process = script.look(pid)
    assert process is not None
    return process.ticks


def peak_kib(pid: int) -> int:
    """The most memory a process ever used since its program began."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def test_commands_and_daemons_of_a_killed_worker_are_gone_within_a_second(tmp_path: Path) -> None:
    token = f"t-{tmp_path.name}"
    with worker(token, SLEEP, STUBBORN, DAEMON, HIDDEN) as process:
        own = guard_of(process)
        wait_until(lambda: len(alive(token)) >= 8, "four shells, their sleepers and a daemon run")
        wait_until(lambda: hidden(token), "one of them hid its token")
        found = hidden(token)
        process.kill()
        wait_until(lambda: not alive(token) and not any(map(is_alive, found)), "all of it is gone", WITHIN_S)
        wait_until(lambda: not is_alive(own), "the guard is gone", WITHIN_S)


def hidden(token: str) -> list[int]:
    """What runs in the session of a command, without its token."""
    known = alive(token)
    others = (process for process in script.everyone() if process.alive and process.pid not in known)
    return [process.pid for process in others if process.session in known and not script.token_of(process.pid)]


def test_commands_of_a_frozen_worker_end_with_their_lease(tmp_path: Path) -> None:
    token = f"t-{tmp_path.name}"
    with worker(token, SLEEP, DAEMON, lease_s=1) as process:
        own = guard_of(process)
        began = time.monotonic()
        wait_until(lambda: len(alive(token)) >= 5, "two shells, their sleepers and a daemon run")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not alive(token), "all of it is gone", WITHIN_S + 1)
        assert time.monotonic() - began > 0.5
        assert is_alive(own)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert {line.split()[0] for line in process.stdout} == {Outcome.LOST}


def test_a_renewed_lease_keeps_commands_alive() -> None:
    runner = ShellRunner(os.environ)
    began = time.monotonic()
    runner.renewed(["t-renewed"], timedelta(seconds=0.2), began)
    runner.renewed(["t-renewed"], timedelta(seconds=60), began)
    assert runner.run(command("sleep 0.6", "t-renewed")).outcome is Outcome.PASSED
    runner.forget(["t-renewed"])
    runner.close()


def test_the_guard_lets_be_what_is_forgotten() -> None:
    runner = ShellRunner(os.environ)
    now = time.monotonic()
    with sleeper("t-forgotten") as forgotten, sleeper("t-kept") as kept:
        runner.renewed(["t-forgotten"], timedelta(seconds=0.3), now)
        runner.renewed(["t-kept"], timedelta(seconds=0.5), now)
        runner.forget(["t-forgotten"])
        wait_until(lambda: kept.poll() is not None, "its lease is over")
        assert forgotten.poll() is None
    runner.close()


def test_a_lease_without_end_ends_with_the_worker() -> None:
    runner = ShellRunner(os.environ)
    runner.renewed(["t-endless"], timedelta.max, time.monotonic())
    assert runner.run(command("sleep 0.2", "t-endless")).outcome is Outcome.PASSED
    runner.forget(["t-endless"])
    runner.close()


def test_a_killed_guard_is_started_again_and_knows_everything(tmp_path: Path) -> None:
    token = f"t-{tmp_path.name}"
    runner = ShellRunner(os.environ)
    runner.renewed([token], timedelta(seconds=60), time.monotonic())
    first = children_here().guard_pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first), "the guard is dead")
    runner.renewed(["t-other"], timedelta(seconds=60), time.monotonic())
    second = children_here().guard_pid
    assert second != first
    assert is_alive(second)
    with sleeper(token) as process:
        runner.close()
        wait_until(lambda: process.poll() is not None, "the new guard knew of the old lease", WITHIN_S)
    assert not is_alive(second)


def test_a_guard_that_reads_nothing_is_replaced() -> None:
    runner = ShellRunner(os.environ)
    runner.renewed(["t-first"], timedelta(seconds=60), time.monotonic())
    stuck = children_here().guard_pid
    os.kill(stuck, signal.SIGSTOP)
    for number in range(100):
        runner.renewed([f"t-{number}-{'x' * 50}-{word}" for word in range(64)], timedelta(seconds=60), time.monotonic())
    assert children_here().guard_pid != stuck
    assert not is_alive(stuck)
    runner.forget([f"t-{number}-{'x' * 50}-{word}" for number in range(100) for word in range(64)])
    runner.close()


def test_a_lease_that_ended_kills_by_token_and_spares_the_rest() -> None:
    now = time.monotonic()
    with guard() as process, sleeper("t-over") as over, sleeper("t-held") as held, sleeper("") as stranger:
        told(
            process,
            f"lease {now - 1} t-over",
            f"lease {now + 60} t-held",
            f"lease {now - 1} t-forgot",
            "forget t-forgot",
        )
        wait_until(lambda: over.poll() is not None, "its lease is over", WITHIN_S)
        with sleeper("t-forgot") as forgot:
            told(process, f"start t-over {over.pid} 0", "end 1")
            assert (held.poll(), stranger.poll(), forgot.poll()) == (None, None, None)
            process.terminate()  # it does not listen
            assert process.stdin is not None
            process.stdin.close()
            wait_until(lambda: held.poll() is not None, "the worker is gone", WITHIN_S)
            assert process.wait() == 0
            assert (stranger.poll(), forgot.poll()) == (None, None)


def test_a_reused_process_id_is_not_killed() -> None:
    now = time.monotonic()
    with guard() as process, sleeper("", start_new_session=True) as stranger:
        with sleeper("", start_new_session=True) as known, sleeper("t-over") as over:
            told(process, f"start t-over {stranger.pid} {ticks(stranger.pid) - 100}")
            told(process, f"start t-over {known.pid} {ticks(known.pid)}", f"lease {now - 1} t-over")
            wait_until(lambda: known.poll() is not None, "told with the right start", WITHIN_S)
            wait_until(lambda: over.poll() is not None, "known by its token", WITHIN_S)
        assert stranger.poll() is None


def test_what_starts_after_the_end_of_its_lease_is_killed() -> None:
    now = time.monotonic()
    with guard() as process:
        told(process, f"lease {now - 1} t-over")
        with sleeper("t-over") as late:
            told(process, f"start t-over {late.pid} {ticks(late.pid)}")
            wait_until(lambda: late.poll() is not None, "it began too late", WITHIN_S)


def test_without_a_process_table_the_groups_are_killed() -> None:
    book = Book()
    with sleeper("", start_new_session=True) as known, sleeper("") as stranger:
        book.note(f"start t-over {known.pid} 0")
        book.note(f"start t-held {stranger.pid} 0")
        assert script.kill_groups({"t-over"}, book) == 1
        assert known.wait() == -signal.SIGKILL
        assert script.kill_groups({"t-over"}, book) == 0
        assert stranger.poll() is None


def test_thousands_of_messages_cost_the_guard_little() -> None:
    far = time.monotonic() + 60
    with guard() as process:
        for number in range(20_000):
            told(
                process, f"lease {far} t-{number}", f"start t-{number} {number + 100_000} 1", f"end {number + 100_000}"
            )
            if number % 64 == 63:
                told(process, "forget " + " ".join(f"t-{old}" for old in range(number - 63, number + 1)))
        assert peak_kib(process.pid) < 12_288
        assert process.stdin is not None
        process.stdin.close()
        _, process.returncode, usage = os.wait4(process.pid, 0)
        assert usage.ru_utime + usage.ru_stime < 2


def test_a_book_keeps_nothing_of_what_is_over() -> None:
    book = Book()
    for line in ("lease 5.5 a b", "start a 10 7", "start b 11 8", "end 10"):
        book.note(line)
    assert (book.ends, book.groups) == ({"a": 5.5, "b": 5.5}, {11: ("b", 8)})
    assert (book.patience(5.0), book.late(5.0), book.late(5.5)) == (0.5, set(), {"a", "b"})
    book.over.add("a")
    assert book.late(6.0) == {"b"}
    book.note("forget a b")
    book.note("end 11")
    assert (book.ends, book.groups, book.over, book.patience(9.0)) == ({}, {}, set(), None)

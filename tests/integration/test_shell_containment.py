"""Commands that try to get away, to last, to flood or to leave something behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from moie_worker.adapters import shell_strays
from moie_worker.adapters.shell import ShellRunner
from moie_worker.plan.states import Outcome
from tests.shell_kit import alive, command, is_alive, wait_until, zombies

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def collected() -> None:
    """A runner makes this process inherit orphans: those of workers that earlier tests killed are not this test's."""
    for pid in zombies():
        os.waitpid(pid, os.WNOHANG)


# Each writes the process id of its daemon to $1 and ends when the daemon is on its own.
DAEMON = {
    "a background child": "sleep 600 & echo $! > {pid}",
    "its own session": "setsid sh -c 'echo $$ > {pid}; exec sleep 600' & {wait}",
    "forked twice": "(setsid sh -c 'echo $$ > {pid}; exec sleep 600' &) ; {wait}",
    "ignores signals": "(setsid sh -c 'trap \"\" TERM HUP INT; echo $$ > {pid}; sleep 600; sleep 600' &) ; {wait}",
    "without its token": "(env -i setsid sh -c 'echo $$ > {pid}; exec sleep 600' &) ; {wait}",
    "keeps others": "(setsid sh -c 'setsid sleep 600 & echo $$ > {pid}; sleep 600; sleep 600' &) ; {wait}",
}
FLOODS = {"lines": "yes | head -c 1G", "no newline": "head -c 1G /dev/zero"}


@pytest.fixture
def runner() -> Iterator[ShellRunner]:
    runner = ShellRunner(os.environ)
    yield runner
    runner.close()


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def daemon(kind: str, pid: Path) -> str:
    """A command that leaves a daemon of this kind behind."""
    return DAEMON[kind].format(pid=pid, wait=f"while ! [ -s {pid} ]; do :; done")


@pytest.mark.fault(14)
@pytest.mark.parametrize("kind", DAEMON)
def test_what_is_left_behind_ends_with_the_command(runner: ShellRunner, kind: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    evidence = runner.run(command(daemon(kind, pid), f"t-{tmp_path.name}"))
    assert evidence.outcome is Outcome.PASSED
    assert evidence.duration_s < 5
    assert not is_alive(int(pid.read_text()))
    assert not alive(f"t-{tmp_path.name}")
    assert not zombies()


@pytest.mark.parametrize("kind", DAEMON)
def test_under_a_lease_it_ends_with_the_attempt(runner: ShellRunner, kind: str, tmp_path: Path) -> None:
    pid, token = tmp_path / "pid", f"t-{tmp_path.name}"
    runner.renewed([token], timedelta(seconds=60), time.monotonic())
    runner.run(command(daemon(kind, pid), token))
    runner.run(command("true", token))
    if kind == "a background child":
        wait_until(lambda: not is_alive(int(pid.read_text())), "the rest of the group is gone")
    else:
        assert is_alive(int(pid.read_text()))
    runner.forget([token])
    assert not is_alive(int(pid.read_text()))
    assert not alive(token)


def test_they_are_found_without_lists_of_children(
    runner: ShellRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_strays, "has_lists_of_children", lambda: False)
    runner.run(command(daemon("without its token", tmp_path / "pid"), "t-lists"))
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_daemon_that_holds_the_pipe_is_not_waited_for(runner: ShellRunner, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    chatty = f"setsid sh -c 'echo $$ > {pid}; exec yes' & while ! [ -s {pid} ]; do :; done; echo done; exit 3"
    evidence = runner.run(command(chatty, "t-chatty"))
    assert evidence.exit_code == 3
    assert evidence.duration_s < 5
    assert not is_alive(int(pid.read_text()))


@pytest.mark.parametrize("kind", ["forked twice", "without its token"])
def test_a_daemon_of_a_running_command_is_let_be(runner: ShellRunner, kind: str, tmp_path: Path) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    waits = f"{daemon(kind, pid)}; while ! [ -e {go} ]; do sleep 0.01; done; kill -0 $(cat {pid})"
    evidences = []
    thread = threading.Thread(target=lambda: evidences.append(runner.run(command(waits, "t-long"))))
    thread.start()
    wait_until(lambda: pid.exists() and pid.read_text(), "the daemon runs")
    for _ in range(3):
        runner.run(command("true", "t-short"))
    go.touch()
    thread.join()
    assert evidences[0].outcome is Outcome.PASSED
    assert not is_alive(int(pid.read_text()))


@pytest.mark.parametrize("new_session", [True, False])
def test_children_of_other_code_here_are_let_be(runner: ShellRunner, new_session: bool) -> None:
    runner.run(command("true", "t-first"))
    with subprocess.Popen(["sleep", "600"], start_new_session=new_session, env={}) as lasting:
        with subprocess.Popen(["false"], start_new_session=new_session, env={}) as short:
            wait_until(lambda: short.pid in zombies(), "it ended")
            runner.run(command("true", "t-second"))
            runner.forget(["t-second"])
            assert short.wait() == 1
        assert lasting.poll() is None
        lasting.kill()


@pytest.mark.fault(14)
def test_a_storm_of_forks_ends_at_the_limit(runner: ShellRunner) -> None:
    storm = "f() { sleep 600 & sleep 0.05; f & f; }; f"
    evidence = runner.run(command(storm, "t-storm", timeout_s=0.5))
    assert evidence.outcome is Outcome.TIMED_OUT
    assert evidence.duration_s < 1.8
    assert not alive("t-storm")
    assert not zombies()


@pytest.mark.fault(14)
@pytest.mark.parametrize("kind", FLOODS)
def test_a_gigabyte_is_drained_quickly_in_little_memory(kind: str) -> None:
    grown = subprocess.run(
        [sys.executable, "-c", MEASURED, FLOODS[kind]], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    kib, size, duration_s = grown.stdout.split()
    assert int(size) == 1 << 30
    assert int(kib) < 10_240
    assert float(duration_s) < 20


# A process of its own, so that its peak is the runner's.
MEASURED = """
import os, resource, sys
from datetime import timedelta
from moie_worker.adapters import shell_strays
from moie_worker.adapters.shell import ShellRunner
from moie_worker.ports import Command
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
runner = ShellRunner(os.environ)
runner.run(Command("true", timedelta(seconds=9)))
before = peak()
evidence = runner.run(Command(sys.argv[1], timedelta(seconds=50)))
print(peak() - before, evidence.output_bytes, evidence.duration_s)
"""


def test_many_runs_leak_neither_descriptors_nor_zombies(runner: ShellRunner) -> None:
    runner.renewed(["t-leak"], timedelta(seconds=60), time.monotonic())
    runner.run(command("true", "t-leak"))
    before = descriptors()
    for cmd in ["true", ["no-such-command-here"], "sleep 5 & exit 1", ["echo", "\0"]] * 50:
        runner.run(command(cmd, "t-leak"))
    assert descriptors() == before
    runner.forget(["t-leak"])
    assert not zombies()


def test_a_command_inherits_only_its_three_descriptors(runner: ShellRunner) -> None:
    leaky = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaky, True)
    runner.renewed(["t-fds"], timedelta(seconds=60), time.monotonic())
    try:
        listed = runner.run(command(["ls", "/proc/self/fd"], "t-fds")).head.split()
        assert listed == ["0", "1", "2", "3"]  # 3 is the directory that ls reads
    finally:
        os.close(leaky)
        runner.forget(["t-fds"])


def test_many_threads_run_at_once(runner: ShellRunner) -> None:
    outcomes: list[tuple[int, int | None, str]] = []

    def work(number: int) -> None:
        token = f"t-{number}"
        runner.renewed([token], timedelta(seconds=60), time.monotonic())
        for _ in range(5):
            evidence = runner.run(command(f"setsid sleep 600 & echo {number}; exit {number}", token))
            outcomes.append((number, evidence.exit_code, evidence.head))
        runner.forget([token])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [(number, number, f"{number}\n") for number in range(16) for _ in range(5)]
    assert not any(alive(f"t-{number}") for number in range(16))
    assert not zombies()


@contextmanager
def fork(work: Callable[[], int]) -> Iterator[int]:
    """A fork of this process that works and then waits to be killed; gives the code it worked out."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 255
        try:
            code = work()
        finally:
            os.write(write, bytes([code]))
            signal.pause()
    try:
        yield os.read(read, 1)[0]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_fork_of_the_process_begins_anew(runner: ShellRunner) -> None:
    def work() -> int:
        runner.renewed(["t-child"], timedelta(seconds=60), time.monotonic())
        code = runner.run(command("exit 5", "t-child")).exit_code
        runner.close()
        return code or 0

    runner.renewed(["t-parent"], timedelta(seconds=60), time.monotonic())
    with fork(work) as code:
        assert code == 5
        assert runner.run(command("exit 6", "t-parent")).exit_code == 6


def test_a_fork_of_the_process_does_not_hold_its_guard(runner: ShellRunner) -> None:
    runner.renewed(["t-guarded"], timedelta(seconds=60), time.monotonic())
    with (
        fork(lambda: 0),
        subprocess.Popen(["sleep", "600"], env={"MOIE_TOKEN": "t-guarded"}, start_new_session=True) as guarded,
    ):
        runner.close()
        assert guarded.wait() == -signal.SIGKILL


def test_the_end_of_a_lone_command_is_seen_without_process_descriptors(
    runner: ShellRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    evidence = runner.run(command("echo hi; exec >&- 2>&-; sleep 0.1; exit 4", "t-old"))
    assert evidence.exit_code == 4
    assert evidence.duration_s < 5
    assert runner.run(command("sleep 60", "t-old", timeout_s=0.2)).signal == signal.SIGTERM

"""How commands of every kind end."""

import os
import resource
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from moie_worker.adapters.shell import ShellRunner
from moie_worker.adapters.stop import StopFlag
from moie_worker.plan.states import Outcome
from moie_worker.ports import Command
from tests.shell_kit import command, wait_until

pytestmark = pytest.mark.integration

LIMIT = timedelta(seconds=20)


@pytest.fixture
def runner() -> ShellRunner:
    return ShellRunner({**os.environ, "MOIE_REDIS_URL": "secret", "SECRET": "s", "LC_TIME": "C", "NAMED": "n"})


@pytest.mark.parametrize(
    ("cmd", "outcome", "message"),
    [
        ("true", Outcome.PASSED, "exit code 0"),
        (["true"], Outcome.PASSED, "exit code 0"),
        ("exit 3", Outcome.FAILED, "exit code 3"),
        ("-e", Outcome.BROKEN, "exit code 127: command not found"),
        ("no-such-command-here", Outcome.BROKEN, "exit code 127: command not found"),
        (["no-such-command-here"], Outcome.BROKEN, "no such file: no-such-command-here"),
        (["/no/such/file"], Outcome.BROKEN, "no such file: /no/such/file"),
        (["/etc/passwd"], Outcome.BROKEN, "not executable: /etc/passwd"),
        (["/etc"], Outcome.BROKEN, "not executable: /etc"),
        ("/etc/passwd", Outcome.BROKEN, "exit code 126: not executable"),
        ("kill -9 $$", Outcome.BROKEN, "killed by signal 9 (SIGKILL)"),
        ("", Outcome.BROKEN, "the command is empty"),
        (" \n", Outcome.BROKEN, "the command is empty"),
        ([], Outcome.BROKEN, "the command is empty"),
        ([""], Outcome.BROKEN, "no such file: ''"),
        (["echo", "a\0b"], Outcome.BROKEN, "cannot start"),
        (["a\0b"], Outcome.BROKEN, "no such file: 'a\\x00b'"),
        ("echo \ud800", Outcome.BROKEN, "cannot start"),
        ("echo " + "x" * 200_000, Outcome.BROKEN, "too long"),
        (["echo", *["x" * 100_000] * 100], Outcome.BROKEN, "too long"),
    ],
)
def test_every_end_has_its_outcome(runner: ShellRunner, cmd: str | list[str], outcome: Outcome, message: str) -> None:
    evidence = runner.run(Command(cmd, LIMIT))
    assert evidence.outcome is outcome
    assert message in evidence.message
    assert evidence.message.isprintable()


def test_a_file_without_a_first_line_is_broken(runner: ShellRunner, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    evidence = runner.run(Command([str(script)], LIMIT))
    assert evidence.outcome is Outcome.BROKEN
    assert "#!" in evidence.message


def test_a_command_runs_in_its_directory(runner: ShellRunner, tmp_path: Path) -> None:
    odd = tmp_path / "-a 'dir'\n"
    odd.mkdir()
    (odd / "tool").write_text("#!/bin/sh\npwd -P; echo $#\n")
    (odd / "tool").chmod(0o755)
    assert runner.run(Command("pwd -P", LIMIT, cwd=str(tmp_path))).head == f"{tmp_path}\n"
    assert runner.run(Command(["./tool", "a b", ""], LIMIT, cwd=str(odd))).head == f"{odd}\n2\n"


@pytest.mark.parametrize("cwd", ["/no/such/directory", "/etc/passwd", "a\0b", ""])
def test_a_missing_directory_is_broken(runner: ShellRunner, cwd: str) -> None:
    evidence = runner.run(Command("true", LIMIT, cwd=cwd))
    assert evidence.outcome is Outcome.BROKEN
    assert "cannot enter the directory" in evidence.message


def test_in_a_directory_the_shell_tells_what_is_missing(runner: ShellRunner, tmp_path: Path) -> None:
    assert runner.run(Command(["no-such-command-here"], LIMIT, cwd=str(tmp_path))).outcome is Outcome.BROKEN


def test_the_environment_is_scrubbed(runner: ShellRunner) -> None:
    given = Command("env", LIMIT, env={"ADDED": "a"}, pass_env=["NAMED", "ABSENT"], token="t-1", slot="2030")
    names = dict(line.split("=", 1) for line in runner.run(given).head.splitlines())
    assert (
        names.items() >= {"ADDED": "a", "NAMED": "n", "MOIE_TOKEN": "t-1", "MOIE_SLOT": "2030", "LC_TIME": "C"}.items()
    )
    assert not {"SECRET", "ABSENT", "MOIE_REDIS_URL"} & set(names)


def test_the_path_of_the_command_decides_what_is_found(runner: ShellRunner, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    assert runner.run(Command(["tool"], LIMIT, env={"PATH": f"/nowhere:{tmp_path}:/bin"})).head == "found\n"


def test_standard_input_is_empty(runner: ShellRunner) -> None:
    assert runner.run(command("cat; read x || echo end", "t-stdin", 5)).head == "end\n"


def test_output_is_kept_whole_in_order_and_measured(runner: ShellRunner) -> None:
    evidence = runner.run(Command("echo one; echo two >&2; printf '\\377\\033[1mthree'", LIMIT))
    assert evidence.head == "one\ntwo\n\ufffdthree"
    assert (evidence.output_bytes, evidence.tail) == (18, "")
    assert len(evidence.sha256) == 64


def test_cpu_and_memory_are_measured(runner: ShellRunner) -> None:
    # More than this process has ever had, from which the command starts: below that nothing is known.
    much = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 200_000_000
    hungry = f"x = bytearray({much}); print(sum(range(3_000_000)))"
    evidence = runner.run(Command(["python3", "-c", hungry], LIMIT))
    assert evidence.outcome is Outcome.PASSED
    assert evidence.max_rss_bytes > much
    assert 0.01 < evidence.cpu_s <= evidence.duration_s + 1


@pytest.mark.parametrize(
    ("cmd", "number"),
    [("sleep 60", 15), ("trap '' TERM; while :; do sleep 60; done", 9), ("exec >&- 2>&-; sleep 60", 15)],
)
def test_the_time_limit_ends_it(runner: ShellRunner, cmd: str, number: int) -> None:
    began = time.monotonic()
    evidence = runner.run(command(cmd, "t-limit", timeout_s=0.3, grace_s=0.3))
    assert (evidence.outcome, evidence.signal) == (Outcome.TIMED_OUT, number)
    assert evidence.message == "timed out after 0.3 s"
    assert time.monotonic() - began < 0.3 + 0.3 + 1


def test_closing_standard_output_is_not_the_end(runner: ShellRunner) -> None:
    evidence = runner.run(command("echo hi; exec >&- 2>&-; sleep 0.3; exit 4", "t-close"))
    assert (evidence.exit_code, evidence.head) == (4, "hi\n")
    assert evidence.duration_s >= 0.3


def test_printing_without_end_does_not_outlive_the_limit(runner: ShellRunner) -> None:
    evidence = runner.run(command("yes", "t-yes", timeout_s=0.3))
    assert evidence.outcome is Outcome.TIMED_OUT
    assert evidence.duration_s < 1.3


def test_a_stop_from_another_thread_ends_it(runner: ShellRunner, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with StopFlag() as stop:

        def ask() -> None:
            wait_until(begun.exists, "the command runs")
            stop.set("the plan was paused")
            stop.set("a later reason")

        thread = threading.Thread(target=ask)
        thread.start()
        evidence = runner.run(command(f"touch {begun}; sleep 60", "t-stop"), stop)
        thread.join()
    assert (evidence.outcome, evidence.message) == (Outcome.CANCELLED, "cancelled: the plan was paused")
    assert evidence.duration_s < 5


def test_a_stop_that_was_set_before_starts_nothing(runner: ShellRunner, tmp_path: Path) -> None:
    with StopFlag() as stop:
        stop.set("too late")
        evidence = runner.run(Command(f"touch {tmp_path / 'x'}", LIMIT), stop)
    assert evidence.outcome is Outcome.CANCELLED
    assert not (tmp_path / "x").exists()


def test_a_closed_stop_gives_its_descriptors_back_and_may_still_be_set() -> None:
    stop = StopFlag()
    descriptor = stop.fileno()
    stop.close()
    stop.close()
    stop.set("late")
    assert (stop.reason, stop.fileno()) == ("late", -1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_signals_that_the_worker_ignores_or_blocks_work_in_the_command(runner: ShellRunner) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    try:
        assert runner.run(Command("kill -TERM $$; echo survived", LIMIT)).signal == signal.SIGTERM
        assert runner.run(Command("kill -USR1 $$; echo survived", LIMIT)).signal == signal.SIGUSR1
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGUSR1])
        signal.signal(signal.SIGTERM, before)


def test_an_attempt_whose_lease_is_over_does_not_begin(runner: ShellRunner, tmp_path: Path) -> None:
    runner.renewed(["t-late"], timedelta(seconds=1), time.monotonic() - 2)
    assert runner.run(command(f"touch {tmp_path / 'x'}", "t-late")).outcome is Outcome.LOST
    runner.forget(["t-late"])
    assert not (tmp_path / "x").exists()


def test_a_token_that_the_guard_cannot_be_told_is_refused(runner: ShellRunner) -> None:
    for token in ("", "two words", "line\n"):
        with pytest.raises(ValueError, match="not a token"):
            runner.renewed([token], LIMIT, time.monotonic())

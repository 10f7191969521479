"""What the end of a command means."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from moie_worker.adapters.shell import oom_kills
from moie_worker.adapters.shell_verdict import Verdict, ended_early, judge
from moie_worker.plan.states import Outcome


def exited(code: int) -> int:
    """The word that wait gives."""
    return code << 8


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        (exited(0), Outcome.PASSED, "exit code 0"),
        (exited(3), Outcome.FAILED, "exit code 3"),
        (exited(126), Outcome.BROKEN, "exit code 126: not executable"),
        (exited(127), Outcome.BROKEN, "exit code 127: command not found"),
        (exited(137), Outcome.BROKEN, "exit code 137 (128 + SIGKILL)"),
        (exited(255), Outcome.FAILED, "exit code 255"),
        (signal.SIGKILL, Outcome.BROKEN, "killed by signal 9 (SIGKILL)"),
        (signal.SIGSEGV | 0x80, Outcome.BROKEN, "killed by signal 11 (SIGSEGV)"),
        (40, Outcome.BROKEN, "killed by signal 40"),
    ],
)
def test_the_end_of_a_command_is_told_in_one_line(status: int, outcome: Outcome, message: str) -> None:
    verdict = judge(status)
    assert (verdict.outcome, verdict.message) == (outcome, message)


def test_exit_code_and_signal_exclude_each_other() -> None:
    assert (judge(exited(3)).exit_code, judge(exited(3)).signal) == (3, None)
    assert (judge(signal.SIGTERM).exit_code, judge(signal.SIGTERM).signal) == (None, 15)


@pytest.mark.parametrize("status", [int(signal.SIGKILL), exited(137)])
def test_a_kill_for_want_of_memory_is_told_apart(status: int) -> None:
    assert "want of memory" in judge(status, out_of_memory=True).message


def test_a_kill_after_the_end_of_the_lease_is_a_lost_attempt() -> None:
    assert judge(signal.SIGKILL, lapsed=True).outcome is Outcome.LOST
    assert judge(exited(1), lapsed=True).outcome is Outcome.FAILED


def test_what_was_ended_says_why_and_how() -> None:
    limit = timedelta(seconds=0.25)
    assert ended_early(Outcome.TIMED_OUT, limit, None, int(signal.SIGTERM)) == Verdict(
        Outcome.TIMED_OUT, "timed out after 0.25 s", None, 15
    )
    assert ended_early(Outcome.CANCELLED, limit, "paused", exited(0)) == Verdict(
        Outcome.CANCELLED, "cancelled: paused", 0, None
    )


def test_what_survives_a_kill_is_said() -> None:
    assert "survived SIGKILL" in ended_early(Outcome.TIMED_OUT, timedelta(minutes=2), None, None).message


def test_kills_for_want_of_memory_are_read_from_the_kernel(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 12\noom_kill 7\nother 1\n")
    assert oom_kills(vmstat) == 7
    assert oom_kills(tmp_path / "missing") == 0

"""What the end of a command means."""

import os
import signal
from dataclasses import dataclass
from datetime import timedelta

from moie_worker.plan.states import Outcome

_COULD_NOT_RUN = {126: "not executable", 127: "command not found"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome and one line for people."""

    outcome: Outcome
    message: str
    exit_code: int | None = None
    signal: int | None = None


def judge(status: int, *, lapsed: bool = False, out_of_memory: bool = False) -> Verdict:
    """The verdict on a command that ended by itself.

    `status` is the word wait gave; `lapsed` says that its lease was over (then it was the guard that killed it).
    What a signal ended did not come to say anything: it is broken, whoever sent the signal.
    """
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return _killed(-code, lapsed=lapsed, out_of_memory=out_of_memory)
    if code == 0:
        return Verdict(Outcome.PASSED, "exit code 0", 0)
    if code in _COULD_NOT_RUN:
        return Verdict(Outcome.BROKEN, f"exit code {code}: {_COULD_NOT_RUN[code]}", code)
    if code > 128 and (name := signal_name(code - 128)):  # what a shell says of a command that a signal ended
        return Verdict(Outcome.BROKEN, f"exit code {code} (128 + {name}){_memory(out_of_memory)}", code)
    return Verdict(Outcome.FAILED, f"exit code {code}", code)


def _killed(number: int, *, lapsed: bool, out_of_memory: bool) -> Verdict:
    if lapsed and number == signal.SIGKILL:
        message = "its lease ran out while the worker stood still; the guard ended it"
        return Verdict(Outcome.LOST, message, signal=number)
    name = signal_name(number)
    shown = f"{number} ({name})" if name else str(number)
    return Verdict(Outcome.BROKEN, f"killed by signal {shown}{_memory(out_of_memory)}", signal=number)


def ended_early(cause: Outcome, timeout: timedelta, reason: str | None, status: int | None) -> Verdict:
    """The verdict on a command that was ended; `status` is None when even SIGKILL did not end it."""
    why = f"cancelled: {reason}" if cause is Outcome.CANCELLED else f"timed out after {seconds(timeout)}"
    if status is None:
        return Verdict(cause, f"{why}; it survived SIGKILL (stuck in the kernel, or of another user)")
    code = os.waitstatus_to_exitcode(status)
    return Verdict(cause, why, code if code >= 0 else None, -code if code < 0 else None)


def seconds(length: timedelta) -> str:
    """`30 s`, `0.25 s`"""
    return f"{length.total_seconds():.10g} s"


def signal_name(number: int) -> str:
    """`SIGKILL`; empty for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _memory(out: bool) -> str:
    return "; the kernel was ending processes for want of memory" if out else ""

"""Runs commands, each in a session of its own: a time limit, a stop, little memory, nothing left behind."""

import itertools
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from moie_worker.adapters.output import Capture
from moie_worker.adapters.privileges import give_up_new_privileges
from moie_worker.adapters.shell_children import children_here
from moie_worker.adapters.shell_rights import NO_LIMITS, Rights
from moie_worker.adapters.shell_spawn import (
    CannotStartError,
    Child,
    NotAllowedError,
    Start,
    base_environment,
    environment,
    is_empty,
    prepare,
)
from moie_worker.adapters.shell_user import account_of, environment_of, start_as
from moie_worker.adapters.shell_verdict import Verdict, ended_early, judge
from moie_worker.adapters.shell_watch import Limits, Watch
from moie_worker.plan.signing import REFUSED
from moie_worker.plan.states import Outcome
from moie_worker.ports import Command, Evidence, Stop

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


class ShellRunner:
    """Safe for threads, and after a fork: what the parent runs is the parent's.

    `environ` is the worker's environment, of which a command gets a harmless part and what it names. `head` and
    `tail` are the bytes of output that are kept.
    """

    def __init__(
        self, environ: Mapping[str, str], head: int = 4096, tail: int = 4096, rights: Rights = NO_LIMITS
    ) -> None:
        self._environ = environ
        self._base = base_environment(environ)
        self._head = head
        self._tail = tail
        self._rights = rights
        self._unnamed = itertools.count(1)
        self._oom_kills = oom_kills()
        self._own_peak = 0  # of this process, in units of ru_maxrss; it only grows

    def run(self, command: Command, stop: Stop | None = None) -> Evidence:
        """Run to its end, its time limit or a stop; never raises for what the command does.

        `max_rss_bytes` is 0 where the kernel cannot tell it from the memory of this process, which it starts from.
        """
        token = command.token or f"unnamed-{os.getpid()}-{next(self._unnamed)}"  # strays are known by it
        if stop is not None and stop.reason is not None:
            return Evidence(Outcome.CANCELLED, f"cancelled before it began: {stop.reason}")
        if children_here().lapsed(token):
            return Evidence(Outcome.LOST, "its lease ran out before it began")
        try:
            start = self._prepare(command, token)
            if self._rights.no_new_privileges:
                give_up_new_privileges()
            child = children_here().start(start, token, apart=self._rights.apart)
        except NotAllowedError as error:
            return Evidence(Outcome.REFUSED, f"{REFUSED}{error}")
        except CannotStartError as error:
            return Evidence(Outcome.BROKEN, str(error))
        try:
            return self._follow(child, command, token, stop)
        finally:
            child.close()
            children_here().ended(child, token)

    def renewed(self, tokens: Sequence[str], lease: timedelta, sent_at: float) -> None:
        """The leases of these attempts hold for `lease` from the monotonic time `sent_at`.

        With `timedelta.max` the guard ends what they run when this process ends, and not before.
        """
        children_here().renew(tokens, lease, sent_at)

    def forget(self, tokens: Sequence[str]) -> None:
        """These attempts are over: end what they left behind, drop them from the guard."""
        children_here().forget(tokens)

    def close(self) -> None:
        """End the guard, and with it whatever still runs under a lease."""
        children_here().close()

    def _prepare(self, command: Command, token: str) -> Start:
        """What to start. NotAllowedError, CannotStartError."""
        if is_empty(command):
            raise CannotStartError("the command is empty")
        if command.run_as is None:
            env = environment(command, self._base, self._environ, token)
            return prepare(self._allowed(command, env), env)
        self._rights.check_user(command.run_as)
        account = account_of(command.run_as)
        env = environment(command, environment_of(account, self._environ), self._environ, token)
        return start_as(account, self._allowed(command, env), env)

    def _allowed(self, command: Command, env: Mapping[str, str]) -> Command:
        programs = self._rights.programs
        return command if programs is None else programs.checked(command, env)

    def _follow(self, child: Child, command: Command, token: str, stop: Stop | None) -> Evidence:
        capture = Capture(self._head, self._tail)
        watch = Watch(child, capture, Limits(command.timeout, command.grace), stop)
        status, usage = None, None
        if watch.follow():
            child.signal_group(signal.SIGKILL)  # the rest of the group, before its number is given back
            watch.drain()
            status, usage = child.collect()
        reason = stop.reason if stop is not None else None
        verdict = self._verdict(watch.cause, command.timeout, reason, status, token)
        duration_s = time.monotonic() - child.began
        return _evidence(verdict, capture, duration_s, usage, self._peak(usage) if usage else 0)

    def _verdict(
        self, cause: Outcome | None, timeout: timedelta, reason: str | None, status: int | None, token: str
    ) -> Verdict:
        if cause is not None:
            return ended_early(cause, timeout, reason, status)
        if status is None:
            return Verdict(Outcome.BROKEN, "its exit code is lost: another part of this process collected it")
        if status == 0:
            return judge(status)
        return judge(status, lapsed=children_here().lapsed(token), out_of_memory=self._out_of_memory(status))

    def _peak(self, usage: resource.struct_rusage) -> int:
        """Peak memory. Until exec a child shares our memory and is charged with it: below that nothing is known."""
        if usage.ru_maxrss > self._own_peak:
            self._own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage.ru_maxrss * _RSS_UNIT if usage.ru_maxrss > self._own_peak else 0

    def _out_of_memory(self, status: int) -> bool:
        """Whether the kernel ended processes for want of memory since the last time it was asked."""
        if os.waitstatus_to_exitcode(status) not in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return False
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before


def _evidence(
    verdict: Verdict, capture: Capture, duration_s: float, usage: resource.struct_rusage | None, peak: int
) -> Evidence:
    head, tail = capture.texts() if capture.size else ("", "")
    return Evidence(
        outcome=verdict.outcome,
        message=verdict.message,
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        head=head,
        tail=tail,
        output_bytes=capture.size,
        sha256=capture.sha256(),
        duration_s=duration_s,
        cpu_s=usage.ru_utime + usage.ru_stime if usage else 0.0,
        max_rss_bytes=peak,
    )


def oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """How often the kernel ended a process for want of memory since boot; 0 where it does not say."""
    try:
        for line in vmstat.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0

"""Ends the commands of a worker that died or stood still past their lease.

A program of its own, run beside each worker as `python -I -S guard.py WORKER_PID`; it imports nothing but a little of
the standard library, because there is one of it per worker process. It is told by lines on standard input:

    lease END TOKEN...        these attempts hold their lease until END, seconds of CLOCK_MONOTONIC
    start TOKEN PID TICKS     a command of the attempt runs in the session PID, begun TICKS after boot
    end PID                   that command is over
    forget TOKEN...           these attempts are over

End of file means that the worker is gone: everything it ran is killed and the guard ends.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator

_NAP_S = 0.05  # between looks at the input: many messages cost one wake-up
_LOOK_S = 3600.0  # poll cannot wait for ever longer
_AFTER_S = 30.0  # how long to go on killing once the worker is gone
_TICK_SLACK = 3  # ticks between reading the clock and the kernel noting the start


class Book:
    """What runs under which lease."""

    def __init__(self) -> None:
        self.ends: dict[str, float] = {}
        self.groups: dict[int, tuple[str, int]] = {}  # session -> token, start in ticks after boot
        self.over: set[str] = set()  # lease ended and nothing of it left; looked at again when something starts

    def note(self, line: str) -> None:
        """Take in one message."""
        verb, *words = line.split()
        if verb == "lease":
            self.ends.update(dict.fromkeys(words[1:], float(words[0])))
            self.over.difference_update(words[1:])
        elif verb == "start":
            token, pid, ticks = words
            self.groups[int(pid)] = (token, int(ticks))
            self.over.discard(token)
        elif verb == "end":
            self.groups.pop(int(words[0]), None)
        elif verb == "forget":
            for token in words:
                self.ends.pop(token, None)
                self.over.discard(token)

    def late(self, now: float) -> set[str]:
        """The attempts whose lease is over."""
        return {token for token, end in self.ends.items() if end <= now and token not in self.over}

    def patience(self, now: float) -> float | None:
        """Seconds until the next lease ends; None when there is none."""
        ends = [end for token, end in self.ends.items() if token not in self.over]
        return max(0.0, min(ends) - now) if ends else None


class Process:
    """One line of the process table."""

    __slots__ = ("_ignored", "alive", "group", "parent", "pid", "session", "ticks")

    def __init__(self, pid: int, stat: bytes) -> None:
        fields = stat[stat.rindex(b")") + 2 :].split()  # the name may contain anything, so count from its end
        self.pid = pid
        self.alive = fields[0] not in (b"Z", b"X")
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.ticks = int(fields[19])
        self._ignored = int(fields[30])

    def ignores(self, number: int) -> bool:
        """Whether it ignores a signal below 32."""
        return bool(self._ignored >> (number - 1) & 1)


def look(pid: int) -> Process | None:
    """A process, or None when it is gone."""
    stat = read(f"/proc/{pid}/stat")
    return Process(pid, stat) if stat else None


def token_of(pid: int) -> str:
    """The MOIE_TOKEN a process was started with; empty when it has none, is gone, or is another user's."""
    for item in read(f"/proc/{pid}/environ").split(b"\0"):
        if item.startswith(b"MOIE_TOKEN="):
            return item[11:].decode("utf-8", "replace")
    return ""


def read(path: str) -> bytes:
    """A whole file of /proc; empty when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def everyone() -> Iterator[Process]:
    """All processes but this one, ended ones too."""
    for name in os.listdir("/proc"):  # noqa: PTH208 -- pathlib would double the memory of a guard
        if name.isdigit() and int(name) != os.getpid():
            process = look(int(name))
            if process is not None:
                yield process


def sessions_of(tokens: set[str], book: Book) -> set[int]:
    """The sessions of these attempts whose first process is still the one that was told of.

    Where it is gone its number may be anybody's: what it left behind is then known by its token only.
    """
    found = set()
    for session, (token, ticks) in book.groups.items():
        leader = look(session) if token in tokens else None
        if leader is not None and abs(leader.ticks - ticks) <= _TICK_SLACK:
            found.add(session)
    return found


def kill_all(tokens: set[str], book: Book) -> int:
    """Kill what belongs to these attempts; returns how many processes were found alive."""
    if not read("/proc/self/stat"):
        return kill_groups(tokens, book)
    sessions = sessions_of(tokens, book)
    return sum(kill(process.pid, tokens, sessions) for process in everyone() if doomed(process, tokens, sessions))


def doomed(process: Process, tokens: set[str], sessions: set[int]) -> bool:
    """Whether a living process belongs to one of these attempts."""
    if not process.alive:
        return False
    return process.session in sessions or process.group in sessions or token_of(process.pid) in tokens


def kill(pid: int, tokens: set[str], sessions: set[int]) -> bool:
    """Kill one process, looked at again once its number can no longer pass to another; False when it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        process = look(pid)
        if process is None or not doomed(process, tokens, sessions):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def kill_groups(tokens: set[str], book: Book) -> int:
    """Where there is no /proc: kill the groups that were told of and are not over."""
    found = 0
    for session, (token, _) in list(book.groups.items()):
        if token in tokens:
            try:
                os.killpg(session, signal.SIGKILL)
                found += 1
            except OSError:
                del book.groups[session]
    return found


def lines(worker: int, book: Book) -> Iterator[Iterable[str]]:
    """What came in since the last look, after waiting for it or for the end of a lease; ends with the worker."""
    os.set_blocking(0, False)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    handle = worker_handle(worker)
    if handle is not None:
        poll.register(handle, select.POLLIN)
    rest = b""
    while True:
        wait = book.patience(time.monotonic())
        ready = [descriptor for descriptor, _ in poll.poll(None if wait is None else min(wait, _LOOK_S) * 1000 + 1)]
        gone = handle in ready or os.getppid() != worker
        while (part := part_of_input()) is not None:
            gone = gone or not part
            if not part:
                break
            *whole, rest = (rest + part).split(b"\n")
            yield [line.decode("utf-8", "replace") for line in whole]
        if gone:
            return
        if not ready:
            yield ()
        time.sleep(_NAP_S)


def part_of_input() -> bytes | None:
    """Some of the input; empty at its end, None when there is nothing now."""
    try:
        return os.read(0, 1 << 16)
    except BlockingIOError:
        return None


def worker_handle(worker: int) -> int | None:
    """Readable when the worker ends, even while a process it forked holds the pipe open."""
    try:
        return os.pidfd_open(worker)
    except (AttributeError, OSError):
        return None


def main(worker: int) -> None:
    """Guard one worker until it ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    book = Book()
    for batch in lines(worker, book):
        for line in batch:
            book.note(line)
        late = book.late(time.monotonic())
        if late and not kill_all(late, book):
            book.over |= late
    end_everything(book)


def end_everything(book: Book) -> None:
    """Kill until nothing is left, or what is left cannot be killed."""
    tokens = set(book.ends) | {token for token, _ in book.groups.values()}
    until = time.monotonic() + _AFTER_S
    clean = 0
    while tokens and clean < 2 and time.monotonic() < until:  # twice: one may just have been between fork and exec
        clean = 0 if kill_all(tokens, book) else clean + 1
        time.sleep(_NAP_S)


if __name__ == "__main__":
    main(int(sys.argv[1]))

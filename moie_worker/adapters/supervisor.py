"""`moie up`: keeps parts running until it is told to stop, and then leaves nothing behind."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moie_worker.adapters.home import Home
from moie_worker.adapters.leftovers import Record
from moie_worker.adapters.parts import Child, Part, State
from moie_worker.adapters.processes import exited, kill_group
from moie_worker.adapters.restarts import Rules
from moie_worker.adapters.uplog import OnLine, UpLog
from moie_worker.adapters.wakeup import Signals
from moie_worker.addresses import redact
from moie_worker.errors import MoieError

ME = "moie"
READY_POLL_S = 0.05
KILL_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """How it ended, for the command line."""

    exit_code: int
    message: str


class Supervisor:
    """One run of a set of parts. Call it while holding the home (`home.hold`), from the main thread.

    `on_line(part, line)` sees every line, those of "moie" about the parts among them. `on_ready()` is called once,
    when all parts are ready; a MoieError of it stops everything. `secrets` appear in no line.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        home: Home,
        on_line: OnLine,
        on_ready: Callable[[], None] = lambda: None,
        secrets: Sequence[str] = (),
        rules: Rules | None = None,
    ) -> None:
        self._children = {part.name: Child(part) for part in parts}
        self._home = home
        self._on_line = on_line
        self._on_ready: Callable[[], None] | None = on_ready
        self._secrets = secrets
        self._rules = rules or Rules()
        self._record = Record(home.parts)
        self._result: Result | None = None
        self._selector = selectors.DefaultSelector()

    def run(self) -> Result:
        """Until a signal ends it (exit code 0), or a part that cannot be kept alive (1)."""
        with contextlib.closing(UpLog(self._home.logs / "up.log", self._on_line)) as self._log:
            with Signals() as signals, self._selector:
                self._selector.register(signals, selectors.EVENT_READ)
                try:
                    result = self._loop(signals)
                finally:
                    self._leave_nothing()
            for child in reversed(self._children.values()):
                child.part.ended()
        return result

    def _loop(self, signals: Signals) -> Result:
        while True:
            for number in signals.take():
                self._asked(number)
            now = time.monotonic()
            for child in self._children.values():
                self._reap(child, now)
            if self._result is None:
                self._advance(now)
            if self._result is not None:
                if not any(child.process for child in self._children.values()):
                    return self._result
                self._wind_down(now)
            self._wait()

    def _asked(self, number: signal.Signals) -> None:
        if self._result is None:
            self._say(f"{number.name}: stopping in order; once more to stop at once")
            self._result = Result(0, "stopped")
        else:
            self._say(f"{number.name} again: stopping at once")
            self._result = Result(1, "stopped at once; what was running will be offered again")
            self._kill_all()

    def _wait(self) -> None:
        for key, _ in self._selector.select(self._patience_s()):
            if isinstance(key.data, Child):
                self._copy(key.data)
                if key.data.closed:
                    self._selector.unregister(key.fd)

    def _patience_s(self) -> float | None:
        now = time.monotonic()
        waits = [wait for child in self._children.values() if (wait := self._wait_of(child, now)) is not None]
        return max(0.0, min(waits)) if waits else None

    def _wait_of(self, child: Child, now: float) -> float | None:
        if child.state is State.STARTING:
            return READY_POLL_S
        if child.state is State.STOPPING:
            return child.until - now
        if child.state is State.WAITING and self._result is None and self._has_needs(child):
            return child.until - now
        return None

    def _has_needs(self, child: Child) -> bool:
        return all(self._children[name].state is State.READY for name in child.part.needs)

    def _advance(self, now: float) -> None:
        for child in self._children.values():
            if child.state is State.WAITING and now >= child.until and self._has_needs(child):
                self._start(child, now)
            elif child.state is State.STARTING:
                self._look(child, now)
        if self._on_ready and all(child.state is State.READY for child in self._children.values()):
            announce, self._on_ready = self._on_ready, None
            try:
                announce()
            except MoieError as error:
                self._result = Result(error.exit_code, redact(str(error), self._secrets))

    def _start(self, child: Child, now: float) -> None:
        name = child.part.name
        try:
            pid = child.start(now)
        except OSError as error:  # no memory, no process numbers
            self._died(child, f"could not be started: {error}", now)
            return
        self._selector.register(child.output, selectors.EVENT_READ, child)
        self._say(f"{name} started as pid {pid}")
        if child.part.launch.lock is None:  # what holds a lock is found by it, and ended more gently
            self._note(lambda: self._record.add(name, pid))

    def _note(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:  # a full disk stops no part
            self._say(f"cannot write {self._home.parts}: {error.strerror}")

    def _look(self, child: Child, now: float) -> None:
        if child.is_ready():
            child.state = State.READY
            self._say(f"{child.part.name} is ready after {now - child.started:.1f} s")
        elif now >= child.until:
            self._give_up(child, f"was not ready within {child.part.ready_timeout.total_seconds():g} s")

    def _reap(self, child: Child, now: float) -> None:
        if child.process is None or (code := exited(child.process)) is None:
            return
        self._copy(child)
        for line in child.rest():
            self._write(child.part.name, line)
        if child.output in self._selector.get_map():
            self._selector.unregister(child.output)
        child.close()
        self._note(lambda: self._record.remove(child.part.name))
        if self._result is not None:
            self._say(f"{child.part.name} ended ({_how(code)})")
        else:
            self._died(child, f"died ({_how(code)})", now)

    def _died(self, child: Child, what: str, now: float) -> None:
        child.deaths = child.deaths.another(child.started, now, self._rules)
        delay_s = child.deaths.delay_s(self._rules)
        if delay_s is None:
            self._give_up(child, f"died {len(child.deaths.times)} times within {self._rules.within_s:g} s")
        else:
            child.until = now + delay_s
            self._say(f"{child.part.name} {what}; starting again in {delay_s:g} s")

    def _give_up(self, child: Child, why: str) -> None:
        lines = [f"  {redact(line, self._secrets)}" for line in child.last] or ["  (it wrote nothing)"]
        text = "\n".join([f"{child.part.name} {why}, so everything was stopped. Its last lines:", *lines])
        self._result = Result(1, text)
        self._say(f"{child.part.name} {why}: stopping everything")

    def _wind_down(self, now: float) -> None:
        for child in self._children.values():
            if child.process is None or self._is_needed(child):
                continue
            if child.state is not State.STOPPING:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.process.pid, child.part.stop_signal)  # Popen would reap it, its group unseen
                child.state, child.until = State.STOPPING, now + child.part.stop_timeout.total_seconds()
            elif now >= child.until:
                self._say(f"{child.part.name} did not end in {child.part.stop_timeout.total_seconds():g} s: killed")
                kill_group(child.process.pid, signal.SIGKILL)
                child.until = now + KILL_AGAIN_S

    def _is_needed(self, child: Child) -> bool:
        return any(child.part.name in other.part.needs for other in self._children.values() if other.process)

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.process is not None:
                kill_group(child.process.pid, signal.SIGKILL)

    def _leave_nothing(self) -> None:
        """Whatever went wrong in here."""
        self._kill_all()
        for child in self._children.values():
            if child.process is not None:
                child.process.wait()
                child.close()

    def _copy(self, child: Child) -> None:
        for line in child.read():
            self._write(child.part.name, line)

    def _write(self, part: str, line: str) -> None:
        self._log.write(part, redact(line, self._secrets))

    def _say(self, line: str) -> None:
        self._write(ME, line)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"

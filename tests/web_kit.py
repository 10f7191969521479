"""What tests of actions need: a scripted HTTP server on loopback, a clock that only waits move, and a context."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moie_worker.adapters.memory_notebook import MemoryNotebook
from moie_worker.adapters.stop import StopFlag
from moie_worker.plan.states import Outcome
from moie_worker.ports import ActionContext, Command, Evidence, Notebook, Stop


@dataclass(frozen=True)
class Asked:
    """A request as the server got it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Asked], Answer]


class ScriptedServer:
    """Answers by a function and remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.released = threading.Event()  # set when the server goes: what dawdles must end then
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(owner: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers, body)
            owner.asked.append(asked)
            answer = owner.script(asked)
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "content-length" not in answer.headers:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except OSError:
                self.close_connection = True  # whoever asked has gone

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _respond  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

    return Handler


class HandClock:
    """Moves only when somebody waits."""

    def __init__(self, start: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)) -> None:
        self.time = start
        self._start = start

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - self._start).total_seconds()

    def advance(self, span: timedelta) -> None:
        self.time += span


class RecordingPause:
    """Waits by moving the clock; remembers how long."""

    def __init__(self, clock: HandClock, stop: Stop) -> None:
        self.waited: list[float] = []
        self._clock = clock
        self._stop = stop

    def __call__(self, seconds: float) -> bool:
        self.waited.append(round(seconds, 3))
        self._clock.advance(timedelta(seconds=seconds))
        return self._stop.reason is None


class RecordingRunner:
    """Runs nothing; remembers what it was asked to run."""

    def __init__(self, answer: Evidence = Evidence(Outcome.PASSED, "exit code 0", exit_code=0)) -> None:  # noqa: B008
        self.answer = answer
        self.commands: list[Command] = []

    def run(self, command: Command, stop: Stop | None = None) -> Evidence:
        self.commands.append(command)
        return self.answer

    def renewed(self, tokens: Any, lease: timedelta, sent_at: float) -> None: ...

    def forget(self, tokens: Any) -> None: ...


@dataclass
class Bench:
    """Everything around an action."""

    clock: HandClock
    stop: StopFlag
    pause: RecordingPause
    runner: RecordingRunner
    notebook: Notebook
    data_dir: Path
    timeout: timedelta = timedelta(minutes=10)

    def context(self, params: Mapping[str, Any], job: str = "5.1") -> ActionContext:
        return ActionContext(
            plan="test",
            job=job,
            params=params,
            command=Command("", self.timeout, env={"A": "b"}, token="t", slot="s"),
            runner=self.runner,
            notebook=self.notebook,
            clock=self.clock,
            stop=self.stop,
            data_dir=self.data_dir,
            pause=self.pause,
        )


@contextmanager
def bench(data_dir: Path, notebook: Notebook | None = None) -> Iterator[Bench]:
    """A bench with the notebook in memory unless another one is given."""
    clock = HandClock()
    with StopFlag() as stop:
        book = MemoryNotebook(clock) if notebook is None else notebook
        yield Bench(clock, stop, RecordingPause(clock, stop), RecordingRunner(), book, data_dir)

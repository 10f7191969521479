"""The live view of `moie up`: the status of the plan above the last lines of all parts."""

import re
import threading
from collections import deque
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.text import Text

from moie_worker.doors.cli.desk import Desk
from moie_worker.doors.cli.output import Line, Styled, console, rich_line
from moie_worker.doors.cli.screen import status_screen
from moie_worker.doors.cli.status import read_status
from moie_worker.errors import MoieError

EVERY_S = 1.0
LINES_KEPT = 200
LEAST_LOG = 4
CELERY_HEAD = re.compile(r"^\[\S+ (\S+),\d+: \w+/\S+\] ")


class LiveView:
    """Use it as a context manager; `on_line` may be called from any thread, and costs nothing."""

    def __init__(self, desk: Desk, addresses: list[str]) -> None:
        self._desk = desk
        self._addresses = addresses
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT)
        self._ended = threading.Event()
        self._console = console()
        self._live = Live(Text(), console=self._console, screen=True, auto_refresh=False)
        self._thread = threading.Thread(target=self._run, name="moie-live", daemon=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._live.__exit__(kind, error, trace)

    def on_line(self, part: str, line: str) -> None:
        """Keep a line for the lower part of the screen."""
        self._lines.append(log_line(part, line))

    def _run(self) -> None:
        while not self._ended.is_set():
            self._live.update(self._screen(), refresh=True)
            self._ended.wait(EVERY_S)

    def _screen(self) -> Text:
        """As many lines as the terminal has; the log gives way to the status down to a few lines."""
        height = self._console.size.height
        top = [*((Styled(address, "dim"),) for address in self._addresses), (), *self._status(), ()]
        top = top[: max(height - LEAST_LOG, 1)]
        below = list(self._lines)[-max(height - len(top), LEAST_LOG) :]
        shown = [*top, *below][:height]
        text = Text("\n").join(rich_line(line) for line in shown)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _status(self) -> list[Line]:
        try:
            return status_screen(read_status(self._desk))
        except MoieError as error:  # no plan yet, or Redis is starting or stopping
            return [(Styled(str(error), "dim"),)]


def log_line(part: str, line: str) -> Line:
    """A line of a part; of Celery's long heads only the time is left."""
    style = "bold" if part == "moie" else "dim"
    return Styled(f"{part:<6} ", style), Styled(CELERY_HEAD.sub(r"\1 ", line), style)

"""The one log of `moie up`: a file that is rotated by size, and a listener."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST = 10 * 1024 * 1024
KEPT = 3

OnLine = Callable[[str, str], None]


class UpLog:
    """Lines of all parts. Trouble with the disk or the listener stops no part; it is said once to the other one."""

    def __init__(self, path: Path, listener: OnLine) -> None:
        self._listener = listener
        self._file = _File(path, maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8", errors="replace")

    def write(self, part: str, line: str) -> None:
        """One line of one part."""
        self._emit(part, line)
        self._tell(part, line)
        if (trouble := self._file.take_trouble()) is not None:
            self._tell("moie", f"cannot write {self._file.baseFilename}: {trouble}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _emit(self, part: str, line: str) -> None:
        self._file.emit(logging.LogRecord(part, logging.INFO, "", 0, line, None, None))

    def _tell(self, part: str, line: str) -> None:
        try:
            self._listener(part, line)
        except OSError as error:  # the terminal or the pipe behind it is gone
            self._listener = _nobody
            with contextlib.suppress(OSError):
                self._emit("moie", f"nobody reads any more: {error}")


def _nobody(part: str, line: str) -> None:
    """Listens to nothing."""


class _File(RotatingFileHandler):
    """A log file whose trouble is told once instead of being printed for each line."""

    def __init__(self, path: Path, **options: object) -> None:
        super().__init__(path, **options)  # type: ignore[arg-type]
        formatter = logging.Formatter("%(asctime)s %(name)-6s | %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)
        self._trouble: str | None = None
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        self._trouble = str(sys.exc_info()[1])

    def take_trouble(self) -> str | None:
        """The first trouble, once."""
        if self._trouble is None or self._told:
            return None
        self._told = True
        return self._trouble

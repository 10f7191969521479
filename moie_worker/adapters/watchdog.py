"""Ends a process in which nothing can run any more."""

import faulthandler
from datetime import timedelta

_STDERR = 2


class ProcessWatchdog:
    """One in a process. Its thread is not Python's: it ends a process whose interpreter an endless call holds.

    Where every thread stood is written to standard error; the exit code is 1.
    """

    def expect(self, within: timedelta) -> None:
        """This is called again within so long, or the process ends."""
        faulthandler.dump_traceback_later(within.total_seconds(), exit=True, file=_STDERR)

    def rest(self) -> None:
        """Nothing is expected any more."""
        faulthandler.cancel_dump_traceback_later()

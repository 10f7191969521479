"""What fails again and again without harm, for leases and sweeps put it right: said, and not a thousand times."""

import logging
from collections.abc import Callable
from typing import TypeVar

from moie_worker.errors import MoieError

T = TypeVar("T")

SAY_AGAIN_S = 60.0

log = logging.getLogger(__name__)


def quietly(call: Callable[[], T], what: str) -> T | None:
    """Call Redis; None, and a line in the log, when it does not do it."""
    try:
        return call()
    except MoieError as error:
        log.warning("cannot %s: %s", what, error)
        return None


class Complaints:
    """Whether to say what goes wrong: at once when it is new, then every minute while it is the same."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._last: tuple[str, float] | None = None

    def due(self, what: str) -> bool:
        """Whether this is to be said now."""
        now = self._now()
        if self._last is not None and self._last[0] == what and now - self._last[1] < SAY_AGAIN_S:
            return False
        self._last = (what, now)
        return True

    def over(self) -> None:
        """All went well: whatever comes next is new."""
        self._last = None

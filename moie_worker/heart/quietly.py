"""What fails again and again without harm, for leases and sweeps put it right: said, and not a thousand times."""

import logging
import time
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
    """Whether to say what goes wrong: at once when it is new, then every minute while it is the same.

    What things are complained of `about` are told apart: a broker that is away does not make a plan's fault new.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._last: dict[str, tuple[str, float]] = {}

    def due(self, what: str, about: str = "") -> bool:
        """Whether this is to be said now."""
        now = self._now()
        said, at = self._last.get(about, (None, 0.0))
        if said == what and now - at < SAY_AGAIN_S:
            return False
        self._last[about] = (what, now)
        return True

    def over(self, about: str = "") -> None:
        """All went well: whatever comes next is new."""
        self._last.pop(about, None)

"""The state takes no writes: the one alert that the state cannot hold, so that each process holds and logs its own."""

import logging
from dataclasses import dataclass

from moie_worker.alerts.rules import LINK
from moie_worker.alerts.watch import CLEAR_AFTER, RAISE_AFTER
from moie_worker.plan.chain import Link

NAME = f"{LINK}{Link.STATE}"

log = logging.getLogger(__name__)


@dataclass
class Unwritten:
    """Fed with every try to write; times are monotonic seconds."""

    _bad_since: float | None = None
    _good_since: float | None = None
    _told: str = ""

    def failed(self, now: float, why: str) -> None:
        """A write did not come through."""
        self._good_since = None
        if self._bad_since is None:
            self._bad_since = now
        if not self._told and now - self._bad_since >= RAISE_AFTER.total_seconds():
            self._told = f"the state takes no writes: {why}"
            log.critical("ALERT %s: %s", NAME, self._told)

    def worked(self, now: float) -> None:
        """A write came through."""
        self._bad_since = None
        if self._good_since is None:
            self._good_since = now
        if self._told and now - self._good_since >= CLEAR_AFTER.total_seconds():
            log.warning("RECOVERED %s: %s", NAME, self._told)
            self._told = ""

"""When a process looks after the others: every now and then, and soon again where something is not sure."""

import logging
import threading
from datetime import timedelta

from moie_worker.alerts.watch import Watch
from moie_worker.errors import MoieError
from moie_worker.wiring import System

MOST_OFTEN = timedelta(seconds=5)
SOON_S = 5.0  # until the next look where something is not sure
TICK_S = 1.0

log = logging.getLogger(__name__)


class Lookout:
    """Looks when it is time to. Not safe for several threads."""

    def __init__(self, system: System) -> None:
        told = system.settings
        self._clock = system.clock
        self._watch = Watch(
            system.fleet, system.store, system.dead_letters, system.chain, system.alerts, told.pace, system.all_gone
        )
        self._every_s = min(told.stale_check, max(told.heartbeat, MOST_OFTEN)).total_seconds()
        self._next = float("-inf")

    def look(self) -> None:
        """Look if it is time to. Redis may be away: a look must outlive that, and errors of ours too."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        unsure = True
        try:
            unsure = self._watch.look()
        except MoieError as error:
            log.warning("the watch over beat and workers: %s", error)
        except Exception:
            log.exception("the watch over beat and workers met an error")
        self._next = now + (min(SOON_S, self._every_s) if unsure else self._every_s)

    def forget(self) -> None:
        """See Watch."""
        self._watch.forget()


class LookoutThread(threading.Thread):
    """Of a process that has no timer of its own: a beat, which so watches the workers while they watch it."""

    def __init__(self, system: System) -> None:
        super().__init__(name="moie-lookout", daemon=True)
        self._lookout = Lookout(system)
        self._ended = threading.Event()

    def run(self) -> None:
        """Until the process ends."""
        while not self._ended.wait(TICK_S):
            self._lookout.look()

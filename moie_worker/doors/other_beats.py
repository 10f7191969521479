"""What a beat knows of the other living beats: which entries they declare, and whose they seem to be."""

import logging
from collections.abc import Sequence

from celery.beat import ScheduleEntry

from moie_worker.doors.entries import key_before
from moie_worker.plan.presence import Beat

log = logging.getLogger(__name__)


class OtherBeats:
    """As they were seen last; what is odd about them is said once."""

    def __init__(self) -> None:
        self.declared: frozenset[str] = frozenset()  # keys of the entries of all living beats
        self.elsewhere: frozenset[str] = frozenset()  # those of beats other than this one
        self.wanted: frozenset[str] = frozenset()  # these, and those of the beats that lived when one looked before
        self._brokers: frozenset[str] = frozenset()
        self._left: set[str] = set()

    def seen(self, own: Beat, living: Sequence[Beat]) -> None:
        """Take note of them. Beats with the keys of `own` that send elsewhere may be those of another application."""
        before, self.declared = self.declared, frozenset(entry for beat in living for entry in beat.entries)
        self.wanted = self.declared | before
        self.elsewhere = frozenset(entry for beat in living if beat.name != own.name for entry in beat.entries)
        alike = [beat for beat in living if beat.broker and not set(own.entries).isdisjoint(beat.entries)]
        brokers = frozenset(beat.broker for beat in alike) - {own.broker}
        if new := brokers - self._brokers:
            self._brokers |= new
            log.warning(
                "beat: beats that send to %s have entries in common with this one, which sends to %s: each slot is "
                "sent by one of them. Where these are two applications, give each a name of its own, Celery('name')",
                ", ".join(sorted(new)),
                own.broker,
            )

    def fire(self, entry: ScheduleEntry) -> bool:
        """Whether beats of an earlier release fire an entry, under the key that they know."""
        if key_before(entry) not in self.declared:
            return False
        if entry.name not in self._left:
            self._left.add(entry.name)
            log.warning("beat: %s is left to the beats of an earlier release, while there are some", entry.name)
        return True

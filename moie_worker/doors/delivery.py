"""How the message of a slot gets to the broker: once where that can be had, else at least once, or at most once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry

from moie_worker.adapters.redis.entries import RedisEntries
from moie_worker.doors import entries as slots
from moie_worker.doors.envelope import Recorded, record, run
from moie_worker.doors.hints import CONFIRM_S, broker_errors
from moie_worker.errors import MoieError
from moie_worker.heart.measure import describe
from moie_worker.plan.times import Ms

RESERVED_MS = 1_000  # how long one beat has for a message that cannot be pushed unseen with its entry

log = logging.getLogger(__name__)


class ArgumentsError(Exception):
    """What a schedule leaves to a function of the application, and that function fails."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of an entry that is due."""

    key: str  # of the entry
    entry: ScheduleEntry
    at: Ms  # names the message
    kept: str  # what Redis keeps of the entry now
    following: str  # what it is to keep when the message was sent
    now: Ms


class Delivery:
    """Sends for one beat. `atomic`: the script that advances an entry can push its message, too."""

    def __init__(self, app: Celery, kept: RedisEntries, *, atomic: bool) -> None:
        self.app = app
        self.kept = kept
        self._atomic = atomic

    def deliver(self, slot: Slot) -> bool:
        """Send the message of a slot; False when another beat was faster.

        Raises what the broker and the application raise. The slot then stands, for this beat or another, unless it is
        to be sent at most once.
        """
        if slots.at_most_once(slot.entry):
            mine = self.kept.advance(slot.key, slot.kept, slot.following)
            if mine:
                self.send(slot)
            return mine
        recorded = self._record(slot) if slots.is_made_unseen(self.app, slot.entry) else None
        if recorded is not None and recorded.message is not None:
            return self._push(slot, slot.kept, recorded)
        return self._reserve(slot)

    def _reserve(self, slot: Slot) -> bool:
        """First have the slot for oneself: no other beat does anything about it meanwhile."""
        taken = slots.Due(slot.now + RESERVED_MS, taken=slot.at).text()
        if not self.kept.advance(slot.key, slot.kept, taken):
            return False
        try:
            self._send_reserved(slot, taken)
        except MoieError:
            raise
        except broker_errors(self.app):
            raise  # whoever looks when the reservation is over tries again
        except Exception:
            self.kept.advance(slot.key, taken, slot.kept)  # others need not wait for that
            raise
        return True

    def _send_reserved(self, slot: Slot, taken: str) -> None:
        recorded = self._record(slot)
        if recorded is None:
            self.send(slot)
        elif recorded.message is not None and self._push(slot, taken, recorded):
            return
        else:  # it has no message or many, or it took so long that another beat tried: rather twice than not at all
            run(self.app, recorded.commands)
        self.kept.advance(slot.key, taken, slot.following)

    def _record(self, slot: Slot) -> Recorded | None:
        return record(self.app, lambda producer: self.send(slot, producer)) if self._atomic else None

    def _push(self, slot: Slot, expected: str, recorded: Recorded) -> bool:
        """Advance and push in one step. What goes with the message waits until it is sure that this beat sends it."""
        if recorded.message is None or not self.kept.fire(
            slot.key, expected, slot.following, *recorded.message, supersedes=slots.supersedes(slot.entry)
        ):
            return False
        try:
            run(self.app, recorded.rest)
        except Exception as error:  # noqa: BLE001 - the message is sent: nothing may say that it is not
            log.warning("beat: %s was sent, and what goes with it was not: %s", slot.entry.name, error)
        return True

    def send(self, slot: Slot, producer: Any = None) -> None:
        """Have Celery make and publish the message."""
        try:
            args, kwargs = slots.arguments(slot.entry)
        except Exception as error:  # whatever it is: it was not the broker
            raise ArgumentsError(f"its arguments cannot be had: {describe(error)}") from error
        options: Mapping[str, Any] = {
            "retry": False, "confirm_timeout": CONFIRM_S, **slots.options(slot.entry, slot.at),
        }  # fmt: skip
        task = self.app.tasks.get(slot.entry.task)
        if task is not None:
            task.apply_async(args, kwargs, producer=producer, **options)
        else:
            self.app.send_task(slot.entry.task, args, kwargs, producer=producer, **options)

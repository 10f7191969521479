"""Tells whether the loop of a worker turns. The process may live, and say so, while nothing takes its messages."""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

from celery import bootsteps

from moie_worker.doors.lookout import TICK_S
from moie_worker.doors.presence import Presence


class Turning(bootsteps.StartStopStep):  # type: ignore[misc]
    """A timer in that loop; it is started anew with each connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **given: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer, **given)

    def start(self, consumer: Any) -> None:
        """The loop begins."""
        self._timer = consumer.timer.call_repeatedly(TICK_S, Presence.turned)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """The loop ends: the worker does, or its broker is away."""
        if self._timer is not None:
            self._timer.cancel()

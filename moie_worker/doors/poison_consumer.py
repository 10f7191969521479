"""A worker's consumer that parks what is no task, on any broker: the message becomes a dead letter and is done with."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

from moie_worker.adapters.clock import SystemClock
from moie_worker.doors.hints import version_fault
from moie_worker.doors.poison_amqp import unreadable
from moie_worker.doors.poison_schema import delivered_event_fault, delivered_fault
from moie_worker.doors.post import Post
from moie_worker.doors.task_letters import undelivered
from moie_worker.heart.measure import describe
from moie_worker.plan.texts import printable

log = logging.getLogger(__name__)

POST = "moie_post"  # attribute of the application: where the letters go


class PoisonConsumer(Consumer):  # type: ignore[misc]
    """Named by `worker_consumer`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Events of other workers come by a consumer of its own, which takes their shape on trust.
        self.gossip.on_message = self._sifted(self.gossip.on_message)

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Its body cannot be read."""
        self._park(message, f"it cannot be decoded: {describe(exc)}")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """It is a message, but no task."""
        self._park(
            message, "it is no task message" if body is None else f"it is no task message but a {type(body).__name__}"
        )

    def on_unknown_task(self, body: Any, message: Any, exc: BaseException) -> None:
        """No task of that name is here. Whoever waits for its result is told, as ever."""
        self._keep(message, f"no task of the name {exc} is registered")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: BaseException) -> None:  # noqa: ARG002 - Celery's own
        """The task in it cannot be made."""
        self._park(message, f"it is no valid task: {describe(exc)}")

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """The handler of Celery, behind checks and with no way out for an error of one message."""
        handle = super().create_task_handler(*args, **options)

        def handle_or_park(message: Any) -> None:
            fault = unreadable(message) or delivered_fault(message, SystemClock().now())
            self._take(message, fault or version_fault(message.headers), lambda: handle(message))

        return handle_or_park

    def _sifted(self, take: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """Take an event, or park what is none."""

        def take_or_park(prepare: Any, message: Any) -> None:
            self._take(message, unreadable(message) or delivered_event_fault(message), lambda: take(prepare, message))

        return take_or_park

    def _take(self, message: Any, fault: str | None, take: Callable[[], None]) -> None:
        if fault:
            self._park(message, fault)
            return
        try:
            take()
        except Exception as error:
            if self._of_the_broker(error):
                raise
            self._park(message, f"it cannot be handled: {describe(error)}")

    def _of_the_broker(self, error: Exception) -> bool:
        # kombu counts KeyError among the connection errors of Redis, but a message can cause one as well.
        return isinstance(error, self.connection_errors + self.channel_errors) and not isinstance(error, KeyError)

    def _park(self, message: Any, reason: str) -> None:
        self._keep(message, reason)
        if not message.acknowledged:
            message.ack_log_error(log, self.connection_errors)

    def _keep(self, message: Any, reason: str) -> None:
        post: Post = getattr(self.app, POST)
        reason = printable(reason)
        log.error("a message is a dead letter: %s", reason)
        post.letter(undelivered(self.app, message, reason))

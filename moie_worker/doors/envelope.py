"""A message as the broker will hold it, without sending it: for brokers whose queues are lists in our own Redis.

kombu lets a channel choose how a batch of messages is published. For the length of one publish this channel's batch
only writes down the commands, so that a script can run them together with a change of state.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery


class Recorder:
    """Stands where kombu's own batch stands; keeps what it would have sent."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.commands: list[tuple[str, tuple[Any, ...]]] = []

    def publish(self, message: Any, **options: Any) -> Any:
        """Route a message through the channel, which then calls `add`."""
        return self.channel.basic_publish(message, _publish_batch=self, **options)

    def add(self, name: str, *args: Any) -> None:
        """A command that the channel would have run."""
        self.commands.append((name, args))

    def flush(self) -> None:
        """Nothing is sent from here."""

    def discard(self) -> None:
        """Nothing was sent from here."""
        self.commands.clear()

    def close(self) -> None:
        """Nothing is held."""


def record(app: Celery, publish: Callable[[Any], Any]) -> tuple[str, str] | None:
    """The list and the text of the one message that `publish(producer)` sends; None when it is not of that kind."""
    with app.producer_or_acquire() as producer:
        if not producer.supports_batch_publish:
            return None
        channel = producer.channel
        recorder = Recorder(channel)
        channel.create_publish_batch = lambda max_size: recorder  # noqa: ARG005 - kombu's name
        try:
            with producer.batch():
                publish(producer)
        finally:
            del channel.create_publish_batch
        pushes = [args for name, args in recorder.commands if name == "lpush"]
        if len(pushes) != 1 or len(recorder.commands) != 1:
            return None
        key, message = pushes[0]
        return f"{getattr(channel, 'global_keyprefix', '')}{key}", str(message)

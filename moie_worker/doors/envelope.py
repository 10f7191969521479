"""A message as the broker will hold it, without sending it: for brokers whose queues are lists in our own Redis.

kombu lets a channel choose how a batch of messages is published. For the length of one publish this channel's batch
only writes down the commands, so that a script can run them together with a change of state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from celery import Celery

Command = tuple[str, tuple[Any, ...]]  # the name of a client's method, and what it takes


@dataclass(frozen=True)
class Recorded:
    """What one publish would have done."""

    commands: Sequence[Command]
    prefix: str = ""  # of all keys

    @cached_property
    def message(self) -> tuple[str, str] | None:
        """The list and the text of its one message; None where it has none or several, or they go to no list."""
        pushes = [args for name, args in self.commands if name == "lpush"]
        return (f"{self.prefix}{pushes[0][0]}", str(pushes[0][1])) if len(pushes) == 1 else None

    @property
    def rest(self) -> Sequence[Command]:
        """What goes with the message: an event that it was sent, or how long its queue may be idle."""
        return [command for command in self.commands if command[0] != "lpush"]


class Recorder:
    """Stands where kombu's own batch stands; keeps what it would have sent."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.commands: list[Command] = []

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


def record(app: Celery, publish: Callable[[Any], Any]) -> Recorded | None:
    """What `publish(producer)` would send; None, and it was not called, where the broker cannot say."""
    with app.producer_or_acquire() as producer:
        channel = producer.channel  # first: only an open one knows
        if not producer.supports_batch_publish:
            return None
        recorder = Recorder(channel)
        channel.create_publish_batch = lambda max_size: recorder  # noqa: ARG005 - kombu's name
        try:
            with producer.batch():
                publish(producer)
        finally:
            del channel.create_publish_batch
        return Recorded(tuple(recorder.commands), getattr(channel, "global_keyprefix", ""))


def run(app: Celery, commands: Sequence[Command]) -> None:
    """Run what was recorded. Raises what the broker raises."""
    if not commands:
        return
    with app.producer_or_acquire() as producer, producer.channel.conn_or_acquire() as client:
        pipeline = client.pipeline(transaction=False)
        for name, args in commands:
            getattr(pipeline, name)(*args)
        pipeline.execute()

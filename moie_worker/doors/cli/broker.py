"""The broker, for the few commands that send something. Celery is imported here, when one of them runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from celery import Celery
from kombu.exceptions import OperationalError

from moie_worker.addresses import redact
from moie_worker.celery import configuration
from moie_worker.doors.broker_place import BrokerPlace
from moie_worker.doors.hints import HEARTBEAT
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.errors import UnreachableError
from moie_worker.plan.letters import Letter
from moie_worker.settings import Settings


def application(told: Settings) -> Celery:
    """An application that only sends."""
    app = Celery("moie_worker", set_as_current=False)
    app.conf.update(configuration(told))
    app.conf.update(imports=(), broker_connection_max_retries=0)
    return app


@contextmanager
def reaching() -> Iterator[None]:
    """Turn the errors of a broker into ours."""
    try:
        yield
    except (OperationalError, OSError) as error:
        raise UnreachableError(
            f"the broker cannot be reached: {redact(str(error))}. Is it running, is MOIE_BROKER_URL right?"
        ) from None


def send_heartbeat(told: Settings) -> str:
    """Ask the workers for a heartbeat; returns the id of the task. Raises UnreachableError."""
    with reaching():
        return str(application(told).send_task(HEARTBEAT, retry=False).id)


def check(told: Settings) -> None:
    """Connect and go. Raises UnreachableError."""
    with reaching(), application(told).connection_for_write() as connection:
        connection.ensure_connection(max_retries=0, timeout=told.redis_timeout.total_seconds())


@dataclass(frozen=True, slots=True)
class Publisher:
    """Puts what died back onto the broker; see `heart.dead_letters.Publisher`."""

    inner: CeleryPublisher

    @classmethod
    def of(cls, told: Settings) -> "Publisher":
        """With the broker of the settings."""
        named = told.broker_url is not None
        beside = BrokerPlace.of(told.broker_address()) == BrokerPlace.of(told.state_url())
        return cls(CeleryPublisher(application(told), named=named, holds_letters=beside))

    def task(self, letter: Letter, new_id: str) -> None:
        """Publish the task of a letter under a new id. Raises UnreachableError."""
        with reaching():
            self.inner.task(letter, new_id)

    def message(self, letter: Letter) -> None:
        """Push the raw message of a letter back into its queue. Raises UnreachableError."""
        with reaching():
            self.inner.message(letter)

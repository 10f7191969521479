"""Makes an application's workers outlive anything that lies in their queues."""

# mypy: disable-error-code="no-untyped-call"

from functools import partial
from typing import NoReturn

from celery import Celery
from kombu import compression

from moie_worker.doors.poison_amqp import guard_amqp
from moie_worker.doors.poison_consumer import POST
from moie_worker.doors.poison_rules import UnfitError
from moie_worker.doors.poison_schema import COMPRESSED
from moie_worker.doors.poison_transport import EXCHANGES, PARK, Exchanges, SievedConnection
from moie_worker.doors.post import Post
from moie_worker.plan.letters import Death


class Parking:
    """Takes deaths from the transport; its text holds no address, because Celery shows transport options."""

    def __init__(self, post: Post) -> None:
        self._post = post

    def __call__(self, death: Death) -> None:
        self._post.letter(death)

    def __repr__(self) -> str:
        return "<dead letters>"


def harden(app: Celery, redis_url: str | None = None, plan: str | None = None) -> None:
    """Park what is no task instead of ending the worker. Call it once `broker_transport_options` are
    configured.

    Where the broker is a Redis, elements are looked at before kombu reads them; on any broker, before Celery does.
    The address of the dead letters is looked for as by `moie_worker.watch`. Messages that are compressed, or due in
    more than a year, are parked as well.
    """
    post = Post(app, redis_url, plan)
    setattr(app, POST, post)
    app.conf.worker_consumer = "moie_worker.doors.patient_consumer:PatientConsumer"
    sieve = {PARK: Parking(post), EXCHANGES: partial(_exchanges, app)}
    app.conf.broker_transport_options = {**(app.conf.broker_transport_options or {}), **sieve}
    app.amqp.Connection = SievedConnection
    _refuse_compression()
    guard_amqp()


def _exchanges(app: Celery) -> Exchanges:
    """Asked when something was published: the application may be configured further until then."""
    return Exchanges(app.conf.event_exchange, app.control.mailbox.exchange.name)


def _refuse_compression() -> None:
    """kombu unpacks a message while it makes it, before anybody could ask its size. Holds for the whole process."""
    for kind in compression.encoders():
        encode, _ = compression.get_encoder(kind)
        compression.register(encode, _refuse, kind)


def _refuse(_: bytes) -> NoReturn:
    raise UnfitError(COMPRESSED)

"""Hints as Celery messages: names of jobs, nothing more. And the names of our two tasks."""

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from moie_worker.errors import UnreachableError
from moie_worker.plan.flow import Hint

WORK = "moie.work"
CONFIRM_S = 5.0  # how long RabbitMQ may take to say that it has a message; other brokers answer at once or not at all
HEARTBEAT = "moie.heartbeat"
VERSION = 1  # of a hint: raised when workers of the release before could not act on it
VERSION_HEADER = "moie_hint"
SHOWN_JOBS = 4  # names that Flower shows of a larger hint


def broker_errors(app: Celery) -> tuple[type[Exception], ...]:
    """What a publish raises when the broker is away: kombu's own word, or what its transport says."""
    # kombu takes any KeyError for a broken connection to Redis: where messages are made it is the application's own.
    said = (error for error in app.connection_for_write().connection_errors if not issubclass(KeyError, error))
    return (OperationalError, *said)


def version_fault(headers: Any) -> str | None:
    """Why this worker must not act on a hint, or None. Hints without a version are of the first one."""
    if not isinstance(headers, dict) or headers.get("task") != WORK:
        return None
    version = headers.get(VERSION_HEADER, 1)
    if version in range(1, VERSION + 1):
        return None
    return (
        f"a hint of version {version!r}, sent by a newer release: this worker reads up to {VERSION}. "
        "Its jobs are offered again; upgrade the worker"
    )


def publisher(app: Celery) -> Callable[[str, Hint], None]:
    """A function that sends a hint to the workers of its queue. It raises UnreachableError when it cannot."""

    def publish(plan: str, hint: Hint) -> None:
        names = ", ".join(hint.jobs[:SHOWN_JOBS]) + (", …" if len(hint.jobs) > SHOWN_JOBS else "")
        try:
            app.send_task(
                WORK,
                args=[plan, hint.queue, hint.id, list(hint.jobs)],
                queue=hint.queue,
                task_id=f"{plan}-{hint.id}",
                shadow=f"{plan}: {names}" if len(hint.jobs) == 1 else WORK,
                argsrepr=f"{len(hint.jobs)} of {plan}: {names}",
                retry=False,
                confirm_timeout=CONFIRM_S,
                headers={VERSION_HEADER: VERSION},
            )
        except broker_errors(app) as error:
            raise UnreachableError(f"the broker does not take a hint: {error}. It is offered again") from error

    return publish

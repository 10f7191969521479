"""Hints as Celery messages: names of jobs, nothing more."""

from collections.abc import Callable

from celery import Celery

from moie_worker.errors import UnreachableError
from moie_worker.plan.flow import Hint

WORK = "moie.work"
SHOWN_JOBS = 4  # names that Flower shows of a larger hint


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
            )
        except app.connection_for_write().connection_errors as error:
            raise UnreachableError(f"the broker does not take a hint: {error}. It is offered again") from error

    return publish

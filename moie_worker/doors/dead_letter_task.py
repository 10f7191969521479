"""A base class for tasks that must not be lost when they are out of retries."""

from celery import Celery, Task

from moie_worker.doors.watch import watcher_of


class DeadLetterTask(Task):  # type: ignore[misc]
    """Tasks of this class land in the dead letter box when they finally fail, with all that a replay needs.

    `@app.task(base=DeadLetterTask)`, or `Celery(task_cls=…)` for all. That includes hard time limits and lost worker
    processes. The address of the Redis is looked for as by `moie_worker.watch`.
    """

    abstract = True

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Celery calls this once for each class made of this one."""
        super().on_bound(app)
        watcher_of(app).take(DeadLetterTask)

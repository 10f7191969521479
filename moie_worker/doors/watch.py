"""Dead letters and job health for a Celery application that knows nothing of either, by Celery's signals.

Nothing here may break the application: handlers never raise, and wait for Redis at most once a failure of it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec
from weakref import WeakValueDictionary

from celery import Celery, Task, signals
from celery.exceptions import TimeLimitExceeded

from moie_worker.adapters.meter import ThreadMeter
from moie_worker.doors.entries import ENTRY_HEADER
from moie_worker.doors.periodic import Periodic
from moie_worker.doors.post import Post
from moie_worker.doors.task_letters import Origin, found, origin_of, task_death, undelivered
from moie_worker.heart.measure import describe
from moie_worker.plan.letters import Measured
from moie_worker.ports import Meter

log = logging.getLogger(__name__)

RUNS_OVER = frozenset({"SUCCESS", "FAILURE"})
_ON_APP = "moie_watcher"

P = ParamSpec("P")


def watch(app: Celery, redis_url: str | None = None, plan: str | None = None) -> "Watcher":
    """Give every task of the application a dead letter and every periodic one a run log.

    Call it where the application is made. Without an address: `moie_redis_url` of the application's configuration,
    then MOIE_REDIS_URL, then the application's broker where that is a Redis. Calling it again changes nothing.
    """
    watcher = watcher_of(app, redis_url, plan)
    watcher.take(Task)
    return watcher


def watcher_of(app: Celery, redis_url: str | None = None, plan: str | None = None) -> "Watcher":
    """The one watcher of an application; a new one takes no task yet."""
    watcher: Watcher | None = getattr(app, _ON_APP, None)
    if watcher is None:
        watcher = Watcher(app, Post(app, redis_url, plan))
        setattr(app, _ON_APP, watcher)
        watcher.connect()
    return watcher


def _comes_again(task: Any, error: BaseException) -> bool:
    """Whether Celery puts back what it tells of as failed: a letter, replayed, would double it."""
    return isinstance(error, TimeLimitExceeded) and bool(task.acks_late) and not task.acks_on_timeout


def _never_raises(handler: Callable[P, None]) -> Callable[P, None]:
    @wraps(handler)
    def guarded(*args: P.args, **given: P.kwargs) -> None:
        try:
            handler(*args, **given)
        except Exception:
            log.exception("the watch of Celery's signals failed; the task is not affected")

    return guarded


class Watcher:
    """Listens to the signals of one application."""

    def __init__(self, app: Celery, post: Post) -> None:
        self.app = app
        self.post = post
        self._taken: tuple[type[Any], ...] = ()
        self._periodic = Periodic(app)
        self._meters: dict[str, Meter] = {}
        # In the parent of a pool: what was received and still runs. Celery forgets it before it tells of a lost child.
        self._requests: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def take(self, kind: type[Any]) -> None:
        """From now on, tasks of this class are this watcher's."""
        self._taken = (*self._taken, kind) if kind not in self._taken else self._taken

    def connect(self) -> None:
        """Listen. Strong references: the watcher lives as long as its application."""
        for signal, handler in self._handlers():
            signal.connect(handler, weak=False, dispatch_uid=f"moie-watch-{id(self)}-{signal.name}")

    def disconnect(self) -> None:
        """Listen no more, deliver what waits."""
        for signal, _ in self._handlers():
            signal.disconnect(dispatch_uid=f"moie-watch-{id(self)}-{signal.name}")
        if getattr(self.app, _ON_APP, None) is self:
            delattr(self.app, _ON_APP)
        self.post.close()

    def _handlers(self) -> tuple[tuple[Any, Callable[..., None]], ...]:
        return (
            (signals.task_received, self.received),
            (signals.task_prerun, self.begun),
            (signals.task_postrun, self.ended),
            (signals.task_failure, self.failed),
            (signals.task_revoked, self.revoked),
            (signals.task_unknown, self.unknown),
            (signals.task_rejected, self.rejected),
            (signals.worker_process_shutdown, self.closing),
            (signals.worker_shutdown, self.closing),
        )

    def mine(self, task: Any) -> bool:
        """Whether it is a task of this application that is to be watched."""
        return getattr(task, "app", None) is self.app and isinstance(task, self._taken)

    @_never_raises
    def received(self, *, request: Any, **_: Any) -> None:
        """A worker took a message for a task."""
        if self.mine(request.task):
            self._requests[request.id] = request

    @_never_raises
    def begun(self, *, task_id: str, task: Any, **_: Any) -> None:
        """A task starts, here."""
        if self.mine(task) and origin_of(task.request).periodic:
            self._meters[task_id] = ThreadMeter()

    @_never_raises
    def ended(self, *, task_id: str, task: Any, args: Any, kwargs: Any, state: str, retval: Any, **_: Any) -> None:
        """A task is over, here: a run of a periodic one, unless it will be retried."""
        meter = self._meters.pop(task_id, None)
        if meter is None or state not in RUNS_OVER:
            return
        failed = isinstance(retval, BaseException) and state == "FAILURE"
        error = (describe(retval) if failed else "failed") if state == "FAILURE" else ""
        self._ran(task, args, kwargs, origin_of(task.request), replace(meter(), error=error))

    @_never_raises
    def failed(self, *, sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, **_: Any) -> None:
        """A task is out of retries (told in its own process), or its process is gone (told in the parent)."""
        if not self.mine(sender):
            return
        request = self._requests.pop(task_id, None)
        here = sender.request.id == task_id and task_id in self._meters
        context = sender.request if sender.request.id == task_id else getattr(request, "_context", None)
        origin = origin_of(context) if context is not None else Origin()
        if origin.periodic and not here:
            # The process that measured is gone. A hard time limit is told twice; the request is there only once.
            limit = exception.args[0] if isinstance(exception, TimeLimitExceeded) and exception.args else 0.0
            self._ran(sender, args, kwargs, origin, Measured(float(limit), error=describe(exception)))
        if not _comes_again(sender, exception):
            self.post.letter(task_death(sender.name, task_id, args, kwargs, exception, found(origin, self.app)))

    @_never_raises
    def revoked(self, *, sender: Any, request: Any, expired: bool, **_: Any) -> None:
        """A task was given up before it ran. Only what expired is a dead letter: the rest somebody asked for."""
        if not expired or not self.mine(sender):
            return
        # The worker's request and the context of a request name the same things.
        context = getattr(request, "_context", request)
        error = TimeoutError(f"expired at {context.expires} before a worker took it")
        origin = found(origin_of(context), self.app)
        self.post.letter(task_death(sender.name, context.id, context.args, context.kwargs, error, origin))

    @_never_raises
    def unknown(self, *, sender: Any, message: Any, name: str, exc: BaseException, **_: Any) -> None:
        """A message names a task that this worker does not have."""
        if sender.app is self.app and Task in self._taken:
            self.post.letter(undelivered(self.app, message, f"unknown task {name!r}: {exc!r}"))

    @_never_raises
    def rejected(self, *, sender: Any, message: Any, exc: BaseException | None, **_: Any) -> None:
        """A message is no task."""
        if getattr(sender, "app", None) is self.app and Task in self._taken:
            self.post.letter(undelivered(self.app, message, describe(exc) if exc else "no task message"))

    @_never_raises
    def closing(self, **_: Any) -> None:
        """This process ends."""
        self.post.close()

    def _ran(self, task: Any, args: Any, kwargs: Any, origin: Origin, measured: Measured) -> None:
        self.post.run(self._periodic.watched(task.name, args, kwargs, origin.headers.get(ENTRY_HEADER)), measured)

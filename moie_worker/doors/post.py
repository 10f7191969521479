"""Where the letters and runs of a Celery application go: Redis, or memory while Redis is away."""

import atexit
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from celery import Celery

from moie_worker.adapters.outbox import Outbox
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.doors.broker_place import broker_facts
from moie_worker.doors.state import checked, state_address
from moie_worker.plan.letters import Death, Measured, Watched
from moie_worker.settings import load

PATIENCE = timedelta(seconds=1)  # what a task may lose to a Redis that does not answer, once a failure of it


@dataclass(frozen=True, slots=True)
class _Boxes:
    letters: RedisDeadLetters
    runs: RedisRunLog
    broker: dict[str, Any] | None  # where what died came from


class Post:
    """Delivers without ever raising. Looks for its Redis when it has something to deliver, not before."""

    def __init__(self, app: Celery, redis_url: str | None = None, plan: str | None = None) -> None:
        if redis_url is not None:
            checked(redis_url)
        self._app = app
        self._url = redis_url
        self._plan = plan
        self._outbox = Outbox()
        atexit.register(self._outbox.close)

    def __repr__(self) -> str:
        """Without the address: it holds a password, and Celery shows its configuration."""
        return "<moie dead letters>"

    def letter(self, death: Death) -> None:
        """Keep a dead letter."""
        self._outbox.send(lambda _: self._boxes.letters.put(self._addressed(death)))

    def _addressed(self, death: Death) -> Death:
        broker = self._boxes.broker
        return death if broker is None else replace(death, payload={**death.payload, "broker": broker})

    def run(self, run_of: Watched, measured: Measured) -> None:
        """Record a run that ended just now."""
        self._outbox.send(lambda ago: self._boxes.runs.record(run_of, measured, ago))

    def close(self) -> None:
        """A last attempt to deliver what waits."""
        self._outbox.close()

    @cached_property
    def _boxes(self) -> _Boxes:
        plan = self._plan or self._app.conf.get("moie_plan") or load().plan
        url = self._url or state_address(self._app)
        client = connect(url, deadline=PATIENCE)
        return _Boxes(RedisDeadLetters(client, plan), RedisRunLog(client, plan), broker_facts(self._app, url))

"""Where the letters and runs of a Celery application go: Redis, or memory while Redis is away."""

import atexit
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

from celery import Celery

from moie_worker.adapters.outbox import Outbox
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.addresses import STATE_SCHEMES, check_url
from moie_worker.errors import InputError
from moie_worker.plan.letters import Death, Measured, Watched
from moie_worker.settings import load

PATIENCE = timedelta(seconds=1)  # what a task may lose to a Redis that does not answer, once a failure of it


@dataclass(frozen=True, slots=True)
class _Boxes:
    letters: RedisDeadLetters
    runs: RedisRunLog


class Post:
    """Delivers without ever raising. Looks for its Redis when it has something to deliver, not before."""

    def __init__(self, app: Celery, redis_url: str | None = None, plan: str | None = None) -> None:
        if redis_url is not None:
            _checked(redis_url)
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
        self._outbox.send(lambda _: self._boxes.letters.put(death))

    def run(self, run_of: Watched, measured: Measured) -> None:
        """Record a run that ended just now."""
        self._outbox.send(lambda ago: self._boxes.runs.record(run_of, measured, ago))

    def close(self) -> None:
        """A last attempt to deliver what waits."""
        self._outbox.close()

    @cached_property
    def _boxes(self) -> _Boxes:
        plan = self._plan or self._app.conf.get("moie_plan") or load().plan
        client = connect(self._url or _address(self._app), deadline=PATIENCE)
        return _Boxes(RedisDeadLetters(client, plan), RedisRunLog(client, plan))


def _address(app: Celery) -> str:
    """The configuration of the application, then the settings, then a broker that is a Redis."""
    if configured := app.conf.get("moie_redis_url"):
        return _checked(configured)
    settings = load()
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    return redis_of_broker(app.conf.broker_url or "") or settings.state_url()


def redis_of_broker(broker_url: str) -> str | None:
    """The Redis behind a broker's address in redis-py's words; None for another kind of broker."""
    parts = urlsplit(broker_url)
    if parts.scheme in {"redis", "rediss"}:
        return broker_url
    if parts.scheme in {"redis+socket", "socket"}:
        db = dict(parse_qsl(parts.query)).get("virtual_host", "0")
        return f"unix://{parts.netloc}{parts.path}?db={db}"
    return None


def _checked(url: str) -> str:
    try:
        check_url(url, STATE_SCHEMES)
    except ValueError as error:
        raise InputError(f"the address of the Redis for dead letters: {error}") from None
    return url

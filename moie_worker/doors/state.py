"""Where an application keeps its state: its own word, the environment, or its broker."""

from celery import Celery
from pydantic import SecretStr

from moie_worker import settings
from moie_worker.addresses import celery_url
from moie_worker.doors.post import redis_of_broker
from moie_worker.wiring import System


def system_of(app: Celery) -> System:
    """The system behind an application: its `moie_redis_url`, else MOIE_REDIS_URL, else its broker if a Redis.

    Raises UnreachableError when there is none of them and no embedded Redis either.
    """
    told = settings.load()
    chosen = app.conf.get("moie_redis_url")
    if chosen is None and told.redis_url is None:
        chosen = redis_of_broker(str(app.conf.broker_url or ""))
    return System(told if chosen is None else told.model_copy(update={"redis_url": SecretStr(str(chosen))}))


def same_redis(app: Celery, system: System) -> bool:
    """Whether broker and state are one Redis database, so that one script can change both."""
    return str(app.conf.broker_url) == celery_url(system.settings.state_url())

"""Where an application keeps its state: its own word, the environment, or its broker."""

from celery import Celery
from pydantic import SecretStr

from moie_worker import settings
from moie_worker.addresses import STATE_SCHEMES, celery_url, check_url, sentinels_of, state_url_of
from moie_worker.errors import InputError
from moie_worker.wiring import System


def state_address(app: Celery) -> str:
    """The Redis of an application: its `moie_redis_url`, else MOIE_REDIS_URL, else its broker, else the embedded one.

    Raises InputError for an address that is none, UnreachableError when there is none of them.
    """
    if configured := app.conf.get("moie_redis_url"):
        return checked(str(configured))
    told = settings.load()
    if told.redis_url is not None:
        return told.state_url()
    return _behind_broker(app) or told.state_url()


def system_of(app: Celery) -> System:
    """The system behind an application. Errors as `state_address`."""
    return System(settings.load().model_copy(update={"redis_url": SecretStr(state_address(app))}))


def same_redis(app: Celery, system: System) -> bool:
    """Whether broker and state are one Redis database, so that one script can change both."""
    url = system.settings.state_url()
    place = sentinels_of(url)
    group = (app.conf.broker_transport_options or {}).get("master_name")
    return str(app.conf.broker_url) == celery_url(url) and (place is None or place.master == group)


def _behind_broker(app: Celery) -> str | None:
    try:
        options = app.conf.broker_transport_options or {}
        return state_url_of(str(app.conf.broker_url or ""), options, app.conf.broker_use_ssl)
    except ValueError as error:
        raise InputError(f"the broker of this application: {error}") from None


def checked(url: str) -> str:
    """The address of a Redis as it is. Raises InputError for what is none."""
    try:
        check_url(url, STATE_SCHEMES)
    except ValueError as error:
        raise InputError(f"the address of the Redis that keeps the state: {error}") from None
    return url

"""One way to a Redis, with limits on every wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from redis import Redis
from redis import exceptions as redis_errors
from redis.backoff import ConstantBackoff
from redis.connection import SSLConnection
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from moie_worker.adapters.redis.asking import Sentinels
from moie_worker.adapters.redis.refusals import ours
from moie_worker.addresses import place_of, sentinels_of
from moie_worker.errors import InputError
from moie_worker.sentinels import SCHEME as SENTINEL
from moie_worker.sentinels import SentinelAddress, Spoken
from moie_worker.tls import Tls

Client = Redis  # for whoever passes one on without speaking to it
FullError = redis_errors.OutOfMemoryError  # for whoever lets others speak to it

DEADLINE = timedelta(seconds=5)
RETRY_PAUSE_S = 0.1
CONNECT_S = 3.0
HEALTH_CHECK_S = 5
FORBIDDEN = redis_errors.NoPermissionError  # for whoever has to know it from errors that a new try does not mend


def connect(url: str, *, deadline: timedelta = DEADLINE) -> Redis:
    """A client that gives up a command after about `deadline`, one retry included. Connects when first used.

    Raises InputError for what is no address of a Redis.
    """
    # The retry of redis-py repeats whole commands; ours are idempotent. Half the deadline each keeps the sum in it.
    wait = deadline.total_seconds() / 2
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": wait,
        "socket_connect_timeout": min(wait, CONNECT_S),
        "health_check_interval": HEALTH_CHECK_S,
        # redis-py's own ten retries with growing pauses would hold a caller for a minute.
        "retry": Retry(ConstantBackoff(RETRY_PAUSE_S), 1),
    }
    try:
        if place := sentinels_of(url):
            return _through_sentinels(place, options)
        return Redis.from_url(url, **options, **_keepalive(url))
    except ValueError as error:
        raise InputError(
            f"{place_of(url)} is no address of a Redis: {error}. Use redis://, rediss://, unix:// or sentinel://"
        ) from None


def broker_options(url: str, deadline: timedelta) -> dict[str, Any]:
    """What kombu and Flower want to know of Sentinels beside their places; nothing for other addresses."""
    place = sentinels_of(url)
    if place is None:
        return {}
    return {"master_name": place.master, "sentinel_kwargs": _asking(place, deadline.total_seconds() / 2)}


def _asking(place: SentinelAddress, wait_s: float) -> dict[str, Any]:
    """Options of the connections to Sentinels: to ask all of them, dead ones too, takes at most about `wait_s`."""
    each = wait_s / len(place.hosts)
    limits = {"socket_timeout": each, "socket_connect_timeout": each, "retry": Retry(ConstantBackoff(0), 0)}
    return place.login() | limits | _through(place.sentinel_tls)


def _through(tls: Tls | None) -> dict[str, Any]:
    return {} if tls is None else {"ssl": True, **tls.options()}


def _through_sentinels(place: SentinelAddress, options: dict[str, Any]) -> Redis:
    """A client of whatever is the primary; a connection that breaks, or meets a replica, asks the Sentinels again."""
    asking = _asking(place, options["socket_timeout"])
    sentinels: Any = Sentinels(place.hosts, asking)
    login = {"db": place.db, "username": place.username, "password": place.password}
    options |= login | _through(place.redis_tls)
    client: Redis = sentinels.master_for(place.master, socket_keepalive=True, **options)
    return client


def _keepalive(url: str) -> dict[str, bool]:
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


def address_of(client: Redis) -> str:
    """Where a client speaks to, without its password."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    if isinstance(pool, SentinelConnectionPool):
        asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
        places = ",".join(sorted(f"{one['host']}:{one['port']}" for one in asked))
        return f"{SENTINEL}://{places}/{options.get('db', 0)}?master={pool.service_name}{_tls_of(pool)}"
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


def _tls_of(pool: SentinelConnectionPool) -> str:
    asked = pool.sentinel_manager.sentinels[0].connection_pool
    speak = issubclass(pool.connection_class, SSLConnection), issubclass(asked.connection_class, SSLConnection)
    spoken = {(True, True): Spoken.ALL, (True, False): Spoken.REDIS, (False, True): Spoken.SENTINELS}.get(speak)
    return f"&tls={spoken}" if spoken else ""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the errors of redis-py into ours; `where` is the address without its password. Also a decorator."""
    try:
        yield
    except redis_errors.RedisError as error:
        raise ours(error, where) from error

"""One way to a Redis, with limits on every wait, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis import exceptions as redis_errors
from redis.backoff import ConstantBackoff
from redis.connection import SSLConnection
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from moie_worker.addresses import sentinels_of
from moie_worker.errors import InputError, MoieError, UnreachableError
from moie_worker.sentinels import SCHEME as SENTINEL
from moie_worker.sentinels import SentinelAddress

Client = Redis  # for whoever passes one on without speaking to it
FullError = redis_errors.OutOfMemoryError  # for whoever lets others speak to it

DEADLINE = timedelta(seconds=5)
RETRY_PAUSE_S = 0.1
CONNECT_S = 3.0
PASSING = ("MISCONF ", "NOREPLICAS ", "BUSY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ")  # it serves again later
HEALTH_CHECK_S = 5
FORBIDDEN = redis_errors.NoPermissionError  # for whoever has to know it from errors that a new try does not mend
TLS = {  # what OpenSSL calls it, and what to do
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted. Name the file of the authority that signed it: "
    "rediss://…?ssl_ca_certs=FILE, and the host as the certificate does",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of ours. Name it: rediss://…?ssl_certfile=FILE&ssl_keyfile=FILE",
    "EOF occurred in violation": "it ended the TLS connection. Does it ask for a certificate of ours? Name it: "
    "rediss://…?ssl_certfile=FILE&ssl_keyfile=FILE",
    "WRONG_VERSION_NUMBER": "it does not speak TLS at this port. Is it redis:// there?",
}


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
            f"{address(url)} is no address of a Redis: {error}. Use redis://, rediss://, unix:// or sentinel://"
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
    return place.login() | limits


def _through_sentinels(place: SentinelAddress, options: dict[str, Any]) -> Redis:
    """A client of whatever is the primary; a connection that breaks, or meets a replica, asks the Sentinels again."""
    asking = _asking(place, options["socket_timeout"])
    sentinels: Any = Sentinel(list(place.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    login = {"db": place.db, "username": place.username, "password": place.password}
    client: Redis = sentinels.master_for(place.master, socket_keepalive=True, **login, **options)
    return client


def _keepalive(url: str) -> dict[str, bool]:
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


def address(url: str) -> str:
    """The address without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def address_of(client: Redis) -> str:
    """Where a client speaks to, without its password."""
    pool = client.connection_pool
    options = pool.connection_kwargs
    if isinstance(pool, SentinelConnectionPool):
        asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
        places = ",".join(sorted(f"{one['host']}:{one['port']}" for one in asked))
        return f"{SENTINEL}://{places}/{options.get('db', 0)}?master={pool.service_name}"
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db', 0)}"


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the errors of redis-py into ours; `where` is the address without its password. Also a decorator."""
    try:
        yield
    except redis_errors.RedisError as error:
        raise _ours(error, where) from error


def _ours(error: redis_errors.RedisError, where: str) -> MoieError:
    match error:
        case redis_errors.NoPermissionError():
            return MoieError(f"Redis at {where} forbids this to the user in its address: {error}. Widen the user's ACL")
        case redis_errors.AuthenticationError() | redis_errors.AuthorizationError():
            return UnreachableError(f"Redis at {where} refuses user or password: {error}. Check the address")
        case redis_errors.BusyLoadingError():
            return UnreachableError(f"Redis at {where} is still loading its data. Wait and try again")
        case redis_errors.MaxConnectionsError():
            return UnreachableError(f"no connection to Redis at {where} is free. Raise its `maxclients`")
        case redis_errors.TimeoutError():
            return UnreachableError(f"Redis at {where} does not answer in time. Is it frozen or overloaded?")
        case redis_errors.ConnectionError():
            return UnreachableError(_no_connection(error, where))
        case redis_errors.OutOfMemoryError():
            return MoieError(f"Redis at {where} is full. Raise its `maxmemory` or make room")
        case redis_errors.ReadOnlyError():
            return UnreachableError(f"Redis at {where} is a read-only replica. Give the address of the primary")
        case _:
            return _by_words(str(error), where)


def _by_words(text: str, where: str) -> MoieError:
    """An error inside of a script arrives without its class."""
    if "NOPERM " in text or "can't run this command" in text:
        return MoieError(f"Redis at {where} forbids this to the user in its address. Widen the user's ACL")
    if "OOM " in text:
        return MoieError(f"Redis at {where} is full. Raise its `maxmemory` or make room")
    if "READONLY " in text:
        return UnreachableError(f"Redis at {where} is a read-only replica. Give the address of the primary")
    if any(word in text for word in PASSING):
        return UnreachableError(f"Redis at {where} does not serve just now: {text}")
    return MoieError(f"Redis at {where} refused: {text}")


def _no_connection(error: redis_errors.ConnectionError, where: str) -> str:
    if isinstance(error, MasterNotFoundError):
        return (
            f"no Sentinel at {where} names a living primary. Is a failover under way, is the name of the group right, "
            "do the Sentinels take the password?"
        )
    text = str(error)
    for sign, words in TLS.items():
        if sign in text:
            return f"Redis at {where} cannot be reached: {words} ({text.rstrip('.')})"
    return f"Redis at {where} cannot be reached: {text.rstrip('.')}. Is it running, is the address right?"

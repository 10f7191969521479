"""Asks Sentinels for the primary, and keeps why one could not be asked: redis-py tells the kind of an error alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import AuthenticationError, Redis, RedisError
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a Sentinel could not be asked. Not the error itself, which would keep all that led to it."""

    text: str
    login: bool  # it does not take user or password

    @classmethod
    def of(cls, error: RedisError) -> "Refusal":
        """What has timed out, redis-py leaves to the context."""
        cause = f" ({error.__context__})" if isinstance(error.__context__, TimeoutError) else ""
        return cls(f"{str(error).rstrip('.')}{cause}", isinstance(error, AuthenticationError))


class NoPrimaryError(MasterNotFoundError):
    """No Sentinel names a living primary."""

    def __init__(self, group: str, refusals: Sequence[Refusal]) -> None:
        self.refusals = refusals  # of the Sentinels that could not be asked
        super().__init__(": ".join(filter(None, (f"no Sentinel names a living primary of {group}", self.said()))))

    def said(self) -> str:
        """The refusals, each once."""
        return "; ".join(dict.fromkeys(refusal.text for refusal in self.refusals))


class Asked(Redis):
    """A connection to one Sentinel."""

    refusal: Refusal | None = None  # the last time

    def sentinel_masters(self) -> Any:
        """See `Redis`."""
        self.refusal = None
        try:
            return super().sentinel_masters()
        except RedisError as error:
            self.refusal = Refusal.of(error)
            raise


class Sentinels(Sentinel):
    """All of them."""

    def __init__(self, hosts: Iterable[tuple[str, int]], options: dict[str, Any], others: int = 0) -> None:
        super().__init__([], others, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        self._asked = [Asked(host, port, **options) for host, port in hosts]
        self.sentinels = [*self._asked]

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Where the primary is. Raises NoPrimaryError."""
        try:
            found: tuple[str, int] = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:
            raise NoPrimaryError(service_name, [one.refusal for one in self._asked if one.refusal]) from error
        return found


def explain(pool: SentinelConnectionPool) -> None:
    """Let the Sentinels of a pool that kombu has made, and closes, tell why they cannot be asked."""
    theirs: Any = pool.sentinel_manager
    places = [one.connection_pool.connection_kwargs for one in theirs.sentinels]
    hosts = [(place["host"], place["port"]) for place in places]
    ours = Sentinels(hosts, theirs.sentinel_kwargs, theirs.min_other_sentinels)
    theirs.sentinels = ours.sentinels
    pool.sentinel_manager = pool.proxy.sentinel_manager = ours

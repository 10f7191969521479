"""Where a broker is: kept in dead letters, so that a replay goes to where the message came from."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from celery import Celery

from moie_worker.addresses import broker_part, place_of, sentinels_of, state_url_of

REDIS, AMQP = "redis", "amqp"
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}
KINDS = {"rediss": REDIS, "amqps": AMQP, "pyamqp": AMQP}
# Transport options that say under which names messages lie in Redis.
NAMING = ("global_keyprefix", "sep", "priority_steps", "fanout_prefix", "fanout_patterns")


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """A broker without its login and its options."""

    kind: str  # redis, amqp, or another scheme
    at: str  # host and port, a socket, or a group of Sentinels
    part: str = ""  # the database or virtual host; empty for the one that needs no name

    def __str__(self) -> str:
        return f"{self.kind}://{self.at}/{self.part}"

    def same_inside(self, other: "BrokerPlace") -> bool:
        """Whether both are of one kind and mean one database or virtual host: a host may have several names."""
        return (self.kind, self.part) == (other.kind, other.part)

    @classmethod
    def of(cls, url: str) -> "BrokerPlace":
        """Of an address in the words of our settings, or of a broker that is no Redis. Raises ValueError."""
        if group := sentinels_of(url):
            hosts = ",".join(sorted(f"{host}:{port}" for host, port in group.hosts))
            return cls(REDIS, f"{group.master}@{hosts}", str(group.db or ""))
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if parts.scheme == "unix":
            return cls(REDIS, parts.path, _database(options))
        kind = KINDS.get(parts.scheme, parts.scheme)
        at = f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}" if parts.scheme in PORTS else _host(url)
        return cls(kind, at, broker_part(url) or (_database(options) if kind == REDIS else ""))


def _database(options: Mapping[str, str]) -> str:
    number = options.get("db", "0")
    return "" if number == "0" else number


def _host(url: str) -> str:
    return urlsplit(place_of(url)).netloc


def broker_of(app: Celery) -> BrokerPlace:
    """The broker that an application publishes to. Raises ValueError for an address that says too little."""
    named, options = app.conf.broker_write_url, app.conf.broker_transport_options or {}
    if not named:  # Celery's own default
        named = str(app.connection_for_write().as_uri(include_password=True))
    url = named if isinstance(named, str) else ";".join(named)
    if not url.startswith("sentinel"):
        url = url.split(";")[0]  # the others are for when this one fails
    return BrokerPlace.of(state_url_of(url, options, app.conf.broker_use_ssl) or url)


def broker_facts(app: Celery, letters_url: str) -> dict[str, Any] | None:
    """What a letter keeps of the broker; None where its address cannot be read."""
    try:
        place = broker_of(app)
        here = place == BrokerPlace.of(letters_url)
        return {**asdict(place), "holds_letters": here, "naming": _naming(app.conf.broker_transport_options or {})}
    except Exception as error:  # noqa: BLE001 - settings of the application: they must never cost a letter
        log.warning("dead letters do not say which broker they came from: %s", error)
        return None


def _naming(options: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: options[name] for name in NAMING if options.get(name) is not None}
    return {name: value if isinstance(value, str | bool) else list(value) for name, value in told.items()}

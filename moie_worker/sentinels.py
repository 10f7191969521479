"""Addresses of a Redis that Sentinels watch over: one line in settings, several places in it.

    sentinel://[USER:]PASSWORD@HOST:PORT,HOST:PORT,…/DB?master=NAME&sentinel_username=…&sentinel_password=…

User and password are those of Redis itself; the Sentinels' own stand in the options. `tls=all` says that Sentinels and
Redis speak TLS, `tls=redis` and `tls=sentinels` that only they do; then the options of TLS may follow (`ssl_…`). kombu
wants the same thing as one URL for each Sentinel, and the rest in options beside them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from moie_worker import tls
from moie_worker.tls import Tls

SCHEME = "sentinel"
PORT = 26379
OPTIONS = frozenset({"master", "sentinel_username", "sentinel_password", "tls"}) | tls.OPTIONS

Host = tuple[str, int]


class Spoken(StrEnum):
    """With whom TLS is spoken."""

    ALL = "all"
    REDIS = "redis"
    SENTINELS = "sentinels"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where Sentinels are asked for the primary of a group, and who one is there and here."""

    hosts: tuple[Host, ...]
    master: str
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    redis_tls: Tls | None = None
    sentinel_tls: Tls | None = None

    @classmethod
    def parse(cls, url: str) -> "SentinelAddress":
        """Raises ValueError, without the address in it."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if strange := sorted(options.keys() - OPTIONS):
            raise ValueError(f"unknown option {strange[0]}; a sentinel:// address takes {', '.join(sorted(OPTIONS))}")
        if "master" not in options:
            raise ValueError("name the group that the Sentinels watch: sentinel://host:26379/0?master=NAME")
        username, password = _login(parts.netloc)
        redis_tls, sentinel_tls = _tls(options)
        return cls(
            hosts=tuple(_host(text) for text in parts.netloc.rpartition("@")[2].split(",")),
            master=options["master"],
            db=_db(parts.path),
            username=username,
            password=password,
            sentinel_username=options.get("sentinel_username"),
            sentinel_password=options.get("sentinel_password"),
            redis_tls=redis_tls,
            sentinel_tls=sentinel_tls,
        )

    @classmethod
    def of_celery(cls, broker_url: str, options: Mapping[str, Any], use_ssl: object = None) -> "SentinelAddress":
        """From what a Celery application says of its broker; `use_ssl`: its `broker_use_ssl`. Raises ValueError."""
        one, *_ = parts = [urlsplit(url) for url in broker_url.split(";")]
        username, password = _login(one.netloc)
        if not options.get("master_name"):
            raise ValueError("a sentinel:// broker needs `master_name` in `broker_transport_options`")
        login: Mapping[str, Any] = options.get("sentinel_kwargs") or {}
        return cls(
            hosts=tuple(_host(part.netloc.rpartition("@")[2]) for part in parts),
            master=str(options["master_name"]),
            db=_db(one.path),
            username=username,
            password=password,
            sentinel_username=login.get("username"),
            sentinel_password=login.get("password"),
            redis_tls=Tls.of_celery(use_ssl) if isinstance(use_ssl, Mapping) and use_ssl else None,
            sentinel_tls=Tls.of_celery(_of_tls(login)) if login.get("ssl") else None,
        )

    def url(self) -> str:
        """The address as the settings take it. Raises ValueError where one cannot say both kinds of TLS."""
        options = {
            "master": self.master,
            "sentinel_username": self.sentinel_username,
            "sentinel_password": self.sentinel_password,
            "tls": self.spoken(),
            **self._said_of_tls(),
        }
        said = urlencode({name: value for name, value in options.items() if value is not None})
        return f"{SCHEME}://{self._user()}{self.places()}/{self.db}?{said}"

    def celery_url(self) -> str:
        """One URL for each Sentinel, as kombu takes it; `master` and the Sentinels' password go beside it."""
        return ";".join(f"{SCHEME}://{self._user()}{_text([host])}/{self.db}" for host in self.hosts)

    def places(self) -> str:
        """The Sentinels, without passwords."""
        return _text(self.hosts)

    def spoken(self) -> Spoken | None:
        """With whom TLS is spoken; None: with nobody."""
        match self.redis_tls, self.sentinel_tls:
            case None, None:
                return None
            case _, None:
                return Spoken.REDIS
            case None, _:
                return Spoken.SENTINELS
            case _:
                return Spoken.ALL

    def login(self) -> dict[str, str]:
        """What the Sentinels themselves want to know."""
        pair = {"username": self.sentinel_username, "password": self.sentinel_password}
        return {name: value for name, value in pair.items() if value is not None}

    def _said_of_tls(self) -> dict[str, str]:
        both = [one.query() for one in (self.redis_tls, self.sentinel_tls) if one is not None]
        if both and both[0] != both[-1]:
            raise ValueError("`broker_use_ssl` and `sentinel_kwargs` have other options of TLS; make them the same")
        return both[0] if both else {}

    def _user(self) -> str:
        if self.username is None and self.password is None:
            return ""
        return f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"


def _tls(options: Mapping[str, str]) -> tuple[Tls | None, Tls | None]:
    """With Redis, with the Sentinels. Options of TLS without TLS are an error: somebody relies on them."""
    spoken, said = options.get("tls"), sorted(_of_tls(options))
    if spoken is None:
        if said:
            raise ValueError(f"{said[0]} says nothing without TLS: write tls=all, tls=redis or tls=sentinels too")
        return None, None
    if spoken not in [*Spoken]:
        raise ValueError(f"tls={spoken}: use all, redis or sentinels")
    parsed = Tls.parse(options)
    return parsed if spoken != Spoken.SENTINELS else None, parsed if spoken != Spoken.REDIS else None


def _of_tls(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name.startswith("ssl_")}


def _login(netloc: str) -> tuple[str | None, str | None]:
    user, _, password = netloc.rpartition("@")[0].partition(":")
    return unquote(user) or None, unquote(password) or None


def _host(text: str) -> Host:
    try:
        parts = urlsplit(f"//{text}")
        name, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the places of Sentinels are host:port, with commas between them") from None
    if not name:
        raise ValueError(f"no host in it: {SCHEME}://host:{PORT},host:{PORT}/0?master=NAME")
    return name, port or PORT


def _db(path: str) -> int:
    number = path.strip("/") or "0"
    if not number.isascii() or not number.isdigit():
        raise ValueError("the path of a sentinel:// address is the number of a database: /0")
    return int(number)


def _text(hosts: Iterable[Host]) -> str:
    return ",".join(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in hosts)

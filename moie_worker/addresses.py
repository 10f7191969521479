"""Addresses of Redis and of brokers: checked, said in Celery's words, and never shown with their passwords."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from moie_worker.sentinels import SCHEME as SENTINEL
from moie_worker.sentinels import SentinelAddress
from moie_worker.tls import Tls

STATE_SCHEMES = ("redis", "rediss", "unix", SENTINEL)
BROKER_SCHEMES = (*STATE_SCHEMES, "amqp", "amqps")


def check_url(url: str, schemes: tuple[str, ...] = STATE_SCHEMES) -> None:
    """Raises ValueError, without the address in it, for what cannot be an address of one of the schemes."""
    allowed = ", ".join(f"{scheme}://" for scheme in schemes)
    if SENTINEL in schemes and url.startswith(f"{SENTINEL}://"):
        SentinelAddress.parse(url)
        return
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError as error:
        raise ValueError(f"not a URL ({redact(str(error))}); use one of {allowed}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"unknown kind of address; use one of {allowed}")
    if parts.scheme == "unix" and (parts.hostname or not parts.path.startswith("/")):
        raise ValueError("the path of a socket is absolute: unix:///path/redis.sock or unix://:password@/path")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError(f"no host in it: {parts.scheme}://host:port")
    if parts.scheme == "rediss":
        Tls.parse(dict(parse_qsl(parts.query)))


def check_ping_url(url: str) -> None:
    """Raises ValueError, without the address in it, unless it is https, or http on the loopback of this machine."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        raise ValueError("not a URL; use an address such as https://host/path") from None
    if parts.username is not None or not re.fullmatch(r"[\x21-\x7e]+", url) or not parts.hostname:
        raise ValueError("use an address such as https://host/path, without user, password and spaces")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback_name(parts.hostname)):
        raise ValueError("use https://; http:// is for the loopback of this machine alone")


def is_loopback_name(host: str) -> bool:
    """Whether a host of an address is this machine by its very name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def celery_url(url: str) -> str:
    """The same place in the words of Celery, kombu and Flower; the group of Sentinels stands elsewhere."""
    parts = urlsplit(url)
    if place := sentinels_of(url):
        return place.celery_url()
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        query["virtual_host"] = query.pop("db", "0")
        return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"
    if parts.scheme == "rediss":
        query.setdefault("ssl_cert_reqs", "required")  # Celery's result backend demands it in the address
        return urlunsplit(parts._replace(query=urlencode(query)))
    return url


def sentinels_of(url: str) -> SentinelAddress | None:
    """The parts of an address of Sentinels; None for other addresses."""
    return SentinelAddress.parse(url) if urlsplit(url).scheme == SENTINEL else None


def state_url_of(broker_url: str, options: Mapping[str, Any], use_ssl: object = None) -> str | None:
    """The Redis behind a broker in the words of our settings; None for another kind of broker.

    `options`: the broker's transport options; `use_ssl`: `broker_use_ssl`, which tells of the TLS of a group of
    Sentinels. Raises ValueError where they do not name the group, or what they say of TLS cannot be said here.
    """
    parts = urlsplit(broker_url)
    if parts.scheme == SENTINEL:
        return SentinelAddress.of_celery(broker_url, options, use_ssl).url()
    if parts.scheme in {"redis", "rediss"}:
        return broker_url
    if parts.scheme in {"redis+socket", "socket"}:
        db = dict(parse_qsl(parts.query)).get("virtual_host", "0")
        return f"unix://{parts.netloc}{parts.path}?db={db}"
    return None


def broker_part(broker_url: str) -> str:
    """The virtual host or the database in Celery's address of a broker; empty for the one that needs no name."""
    parts = urlsplit(broker_url)
    named = dict(parse_qsl(parts.query)).get("virtual_host", "") if "socket" in parts.scheme else parts.path
    part = unquote(named).strip("/")
    return "" if part == "0" else part


def place_of(url: str) -> str:
    """An address without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def tls_options(url: str) -> dict[str, Any] | None:
    """Value for Celery's `broker_use_ssl`: TLS to Redis. Flower takes it from there alone. None without TLS."""
    parts = urlsplit(url)
    if place := sentinels_of(url):
        return place.redis_tls.options() if place.redis_tls else None
    return Tls.parse(dict(parse_qsl(parts.query))).options() if parts.scheme == "rediss" else None


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the passwords of the addresses in it and without the given secrets."""
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    if "://" in text:
        text = re.sub(r"\S+", _without_password, text)
    if "password=" in text:
        text = re.sub(r"([?&](?:ssl_|sentinel_)?password=)[^&\s]*", r"\1***", text)
    return text


def _without_password(word: re.Match[str]) -> str:
    """A word without what stands between `://NAME:` and its last `@`; looked at once, however often it says `://`."""
    text = word[0]
    end, begin = text.rfind("@"), re.search(r"://[^:/@\s]*:", text)
    return text[: begin.end()] + "***" + text[end:] if begin and begin.end() <= end else text

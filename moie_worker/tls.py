"""What a client of Redis wants to know of TLS: as options of an address, and as redis-py and kombu take them.

ssl_ca_certs=FILE   ssl_certfile=FILE   ssl_keyfile=FILE   ssl_cert_reqs=required|optional|none
ssl_check_hostname=true|false
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
VERIFY = "ssl_cert_reqs"
HOSTNAME = "ssl_check_hostname"
OPTIONS = frozenset({*FILES, VERIFY, HOSTNAME})

_TRUTH = {"true": True, "false": False}


class Verify(StrEnum):
    """Whether a certificate has to be signed by an authority that is trusted; to clients `optional` is a must too."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"

    def mode(self) -> ssl.VerifyMode:
        """In Python's words."""
        match self:
            case Verify.REQUIRED:
                return ssl.CERT_REQUIRED
            case Verify.OPTIONAL:
                return ssl.CERT_OPTIONAL
            case Verify.NONE:
                return ssl.CERT_NONE
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and what to show."""

    files: tuple[tuple[str, str], ...] = ()
    verify: Verify = Verify.REQUIRED
    check_hostname: bool = True

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> "Tls":
        """From the options of an address; those that are not of TLS are passed over. Raises ValueError."""
        return cls(
            files=tuple((name, options[name]) for name in FILES if name in options),
            verify=Verify(_one_of(options, VERIFY, [*Verify])),
            check_hostname=_TRUTH[_one_of(options, HOSTNAME, [*_TRUTH])],
        )

    @classmethod
    def of_celery(cls, options: Mapping[str, Any]) -> "Tls":
        """From the words of Celery, `broker_use_ssl`, or of redis-py. Raises ValueError for what no address can say."""
        if strange := sorted(options.keys() - OPTIONS):
            raise ValueError(f"{strange[0]} is none of the options of TLS known here: {', '.join(sorted(OPTIONS))}")
        said = {name: _text(value) for name, value in options.items() if value is not None}
        return cls.parse(said if options.get(VERIFY, "") is not None else said | {VERIFY: "none"})

    def query(self) -> dict[str, str]:
        """As options of an address, without what goes without saying."""
        verify = {} if self.verify is Verify.REQUIRED else {VERIFY: str(self.verify)}
        return dict(self.files) | verify | ({} if self.check_hostname else {HOSTNAME: "false"})

    def options(self) -> dict[str, Any]:
        """As redis-py and Celery's `broker_use_ssl` take it."""
        hostname = {} if self.check_hostname else {HOSTNAME: False}
        return {VERIFY: self.verify.mode(), **dict(self.files), **hostname}


def _one_of(options: Mapping[str, str], name: str, values: list[str]) -> str:
    said = options.get(name, values[0])
    if said not in values:
        raise ValueError(f"{name}={said}: use {', '.join(values[:-1])} or {values[-1]}")
    return said


def _text(value: object) -> str:
    match value:
        case ssl.VerifyMode():
            return value.name.removeprefix("CERT_").lower()
        case bool():
            return str(value).lower()
        case _:
            return str(value)

"""What a variable of the environment may hold, each with the words for what it may not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from moie_worker.addresses import BROKER_SCHEMES, STATE_SCHEMES, check_ping_url, check_url
from moie_worker.plan.duration import PositiveDuration

WEAK_BELOW = 12

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)


def _seconds(value: object) -> object:
    """The environment knows only texts: `600` means the number."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _checked_by(rule: Callable[[str], None]) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        rule(value.get_secret_value())
        return value

    return AfterValidator(check)


def _url_of(schemes: tuple[str, ...]) -> AfterValidator:
    return _checked_by(lambda url: check_url(url, schemes))


Duration = Annotated[PositiveDuration, BeforeValidator(_seconds)]


def _matching(pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


def _strong(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < WEAK_BELOW:
        raise ValueError(f"use at least {WEAK_BELOW} characters")
    return value


StateUrl = Annotated[SecretStr, _url_of(STATE_SCHEMES)]
BrokerUrl = Annotated[SecretStr, _url_of(BROKER_SCHEMES)]
PingUrl = Annotated[SecretStr, _checked_by(check_ping_url)]
PlanName = Annotated[
    str, _matching(r"[A-Za-z0-9._-]{1,64}", "use 1 to 64 letters, digits, dots, dashes or underscores")
]
HttpUrl = Annotated[str, _matching(r"https?://\S+", "use an address that begins with http:// or https://")]
KeyName = Annotated[str, _matching(r"[A-Za-z0-9_-]{1,64}", "use the name of a key, as `moie keys list` shows it")]
UserName = Annotated[str, _matching(r"[^:\s]+", "use a name without colons and spaces")]
Password = Annotated[SecretStr, AfterValidator(_strong)]
Port = Annotated[int, Field(ge=1, le=65535)]
Home = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

"""Every setting (`MOIE_*`): the only reader of the environment."""

import difflib
import logging
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

import platformdirs
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from moie_worker.addresses import celery_url, redact
from moie_worker.errors import InputError, UnreachableError
from moie_worker.plan.duration import format_duration
from moie_worker.plan.pace import Pace
from moie_worker.setting_types import (
    BrokerUrl,
    Duration,
    Home,
    HttpUrl,
    KeyName,
    Password,
    PingUrl,
    PlanName,
    Port,
    StateUrl,
    UserName,
)

PREFIX = "MOIE_"
UNHEARD = "unheard"
EMBEDDED_URL_FILE = "redis.url"  # in the home: where the running embedded Redis answers
OURS = frozenset({"MOIE_TOKEN", "MOIE_SLOT", "MOIE_CHECK"})  # given to commands, no settings

log = logging.getLogger(__name__)


def _default_home() -> Path:
    return platformdirs.user_data_path("moie-worker", appauthor=False)


class Settings(BaseSettings):
    """What one process was told. Make it with `load`, which explains what is wrong in words of the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files pass on variables that are not set as empty ones
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    home: Home = Field(
        default_factory=_default_home,
        description="The data directory: the embedded Redis with its data, logs, digests. "
        "Commands with the same one find the Redis that `moie up` started.",
        json_schema_extra={"shown_default": "the data directory of the user, for `moie-worker`"},
    )
    redis_url: StateUrl | None = Field(
        None,
        description="Where the truth is kept: `redis://`, `rediss://`, `unix://` or "
        "`sentinel://:PASSWORD@HOST:PORT,HOST:PORT/0?master=NAME`, with `&tls=all` where they speak TLS. "
        "Without it: the embedded Redis that `moie up` runs in `MOIE_HOME`.",
    )
    broker_url: BrokerUrl | None = Field(
        None,
        description="What carries Celery's messages: the schemes of `MOIE_REDIS_URL`, `amqp://` or `amqps://`. "
        "Without it: the same Redis.",
    )
    plan: PlanName = Field("default", description="The plan that commands speak about.")
    sign_key: KeyName | None = Field(
        None, description="The author's key that `moie load` and `moie up` sign plans with; made by `moie keys make`."
    )
    trusted_keys: str = Field(
        "",
        description="Public keys that are trusted besides those in the folder of keys, separated by spaces. With a "
        "trusted author a worker executes nothing that no trusted author signed; receipts of trusted workers count.",
        json_schema_extra={"shown_default": "–"},
    )
    require_signed: bool = Field(
        False,
        description="Whether a worker executes only what a trusted author signed, also where no author is trusted "
        "(any more): then it executes nothing. Without it that is so since `moie keys trust` trusted an author here.",
    )
    control: bool = Field(
        True,
        description="Whether this process takes part in Celery's remote control (`inspect`, the pages of Flower about "
        "one worker). `false` for a Flower that may only look: see `moie acl`.",
    )
    keys: Home | None = Field(
        None,
        description="The folder of private and trusted keys. Without it: `keys` in `MOIE_HOME`.",
    )
    heartbeat: Duration = Field(
        timedelta(seconds=600), description="Time between two heartbeats. `moie up` beats every 15 s."
    )
    heartbeat_stale: Duration | None = Field(
        None,
        description="A heartbeat older than this is stale. Longer than `MOIE_HEARTBEAT`. Without it: one and a half "
        "times the period that beats announce, at least 30 s more than it.",
    )
    stale_check: Duration = Field(
        timedelta(seconds=300), description="How often a worker looks for a stale heartbeat, independently of beat."
    )
    lease: Duration = Field(
        timedelta(seconds=30), description="An attempt that is not renewed for this long is lost and offered again."
    )
    renew: Duration = Field(
        timedelta(seconds=10), description="How often a worker renews its leases. At most half of `MOIE_LEASE`."
    )
    sweep: Duration = Field(
        timedelta(milliseconds=750), description="The longest time for which beat does not look at what is due."
    )
    patience: Duration = Field(
        timedelta(seconds=5),
        description="How long a running command may go on after its worker was asked to end; then it is given back.",
    )
    threads: int = Field(2, ge=1, le=64, description="Commands run at once by each pool process of a worker.")
    redis_timeout: Duration = Field(
        timedelta(seconds=5), description="A call to Redis that has no answer after this long has failed."
    )
    output_head: int = Field(
        2048, ge=0, le=1_048_576, description="Bytes kept from the beginning of the output of a command."
    )
    output_tail: int = Field(
        2048, ge=0, le=1_048_576, description="Bytes kept from the end of the output of a command."
    )
    no_new_privileges: bool = Field(
        True,
        description="Whether commands give up rights that programs such as `sudo` or `ping` may bring with them.",
    )
    containment: Literal["group", "auto", "pid"] = Field(
        "group",
        description="What a command is held in: `group`, a session of its own; `pid`, a PID namespace too, without "
        "which the worker does not start; `auto`, one where the kernel lets it.",
    )
    run_as_users: str = Field(
        "",
        description="The users that jobs may name in `run_as` on this machine, separated by spaces.",
        json_schema_extra={"shown_default": "–"},
    )
    allowed_programs: str = Field(
        "",
        description="The programs that commands may begin with on this machine: names or paths, separated by spaces. "
        "A command that is a text needs `sh`. Without it: any.",
        json_schema_extra={"shown_default": "–"},
    )
    policies: Home | None = Field(
        None, description="A file of rules about what may run on this machine. Without it: no rules."
    )
    receipts_kept: int = Field(
        100_000,
        ge=1,
        le=10_000_000,
        description="Sealed receipts of a plan that Redis keeps, about 0.8 kB each; older ones are dropped. "
        "What is not sealed yet is never dropped.",
    )
    ping_url: PingUrl | None = Field(
        None,
        description="An address outside that is told of each heartbeat which came through: a dead-man switch. "
        "`https://`, or `http://` on the loopback of this machine.",
    )
    ping_method: Literal["POST", "GET"] = Field(
        "POST", description="How: `POST` sends the id of the heartbeat as the body."
    )
    ping_private: bool = Field(False, description="Whether the host of `MOIE_PING_URL` may have a private address.")
    arxiv_url: HttpUrl = Field(
        "https://export.arxiv.org/api/query",
        description="The arXiv API that the action `arxiv_scan` asks.",
    )
    embedded_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Loopback port of the embedded Redis; 0 takes a free one. Without it: a unix socket.",
    )
    flower_host: str = Field("127.0.0.1", min_length=1, description="Where the Flower of `moie up` listens.")
    flower_port: Port = Field(
        5555, description="Port of the Flower of `moie up`; a free one is taken when it is in use."
    )
    flower_user: UserName = Field("moie", description="User name that Flower asks for.")
    flower_password: Password | None = Field(
        None,
        description="Password that Flower asks for, at least 12 characters. "
        "Without it `moie up` makes one and keeps it in the home.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.heartbeat_stale is not None and self.heartbeat_stale <= self.heartbeat:
            raise ValueError(
                f"MOIE_HEARTBEAT_STALE ({format_duration(self.heartbeat_stale)}) must be longer than "
                f"MOIE_HEARTBEAT ({format_duration(self.heartbeat)}): 1.5 times as long is a good value"
            )
        if self.renew * 2 > self.lease:
            raise ValueError(
                f"MOIE_RENEW ({format_duration(self.renew)}) must be at most half of "
                f"MOIE_LEASE ({format_duration(self.lease)}), so that one failed renewal loses nothing"
            )
        return self

    @property
    def control_exchange(self) -> str:
        """Where control commands are published; nobody listens at `UNHEARD`."""
        return "celery" if self.control else UNHEARD

    @property
    def key_folder(self) -> Path:
        """Where private and trusted keys are."""
        return self.keys or self.home / "keys"

    @property
    def pace(self) -> Pace:
        """Of heartbeats, as this process was told; beats may announce another period."""
        return Pace(self.heartbeat, self.heartbeat_stale)

    @property
    def embedded(self) -> bool:
        """True when the truth lives in the embedded Redis of the home."""
        return self.redis_url is None

    def state_url(self) -> str:
        """The Redis that holds the truth, as redis-py takes it. Holds a password: never print it unredacted.

        Raises UnreachableError when the embedded Redis is meant and was not started.
        """
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        try:
            return (self.home / EMBEDDED_URL_FILE).read_text().strip()
        except OSError:
            raise UnreachableError(
                f"no Redis: nothing runs in {self.home} and MOIE_REDIS_URL is not set. "
                "Start one with `moie up`, or set MOIE_REDIS_URL (redis://…) or the MOIE_HOME of a running `moie up`."
            ) from None

    def celery_broker_url(self) -> str:
        """The broker, as Celery and Flower take it. Errors as `state_url`."""
        return celery_url(self.broker_address())

    def broker_address(self) -> str:
        """The broker, as the settings say it. Errors as `state_url`."""
        return self.broker_url.get_secret_value() if self.broker_url is not None else self.state_url()


def load(**overrides: Any) -> Settings:
    """The settings of this process: defaults, then the environment, then `overrides` that are not None.

    Raises InputError naming each wrong variable; warns of variables that nobody reads.
    """
    for message in unknown_variables(os.environ):
        log.warning(message)
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise InputError("\n".join(_explain(detail) for detail in error.errors())) from None


def _explain(detail: Any) -> str:
    message = redact(str(detail["msg"]).removeprefix("Value error, "))
    return f"{PREFIX}{str(detail['loc'][0]).upper()}: {message}" if detail["loc"] else message


def variables() -> list[str]:
    """The names of all settings in the environment."""
    return [PREFIX + name.upper() for name in Settings.model_fields]


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """One line for each MOIE_* name that is no setting, with the nearest one that is."""
    known = variables()
    strange = sorted(name for name in environment if name.startswith(PREFIX) and name not in OURS and name not in known)
    return [_did_you_mean(name, known) for name in strange]


def _did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} is no setting and is ignored" + (f"; did you mean {near[0]}?" if near else "")


def base_environment() -> dict[str, str]:
    """A copy of the environment of this process, for what has to pass parts of it on.

    The programs installed beside this Python are found last, so that a plan may say `moie` and `celery` where the
    virtual environment of the worker is not activated.
    """
    own = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": path if own in path.split(os.pathsep) else f"{path}{os.pathsep}{own}"}

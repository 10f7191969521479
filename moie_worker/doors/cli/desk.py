"""What every command begins with: its common options, and the system they name."""

import functools
import os
import pwd
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from moie_worker import settings
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.doors.cli.hints import name_plan
from moie_worker.errors import InputError, NotFoundError
from moie_worker.plan.duration import parse_duration
from moie_worker.plan.fields import parse_time
from moie_worker.plan.flow import Overview
from moie_worker.wiring import System

Function = Callable[..., Any]
WHY_KEPT = 1000  # characters: the journal holds thousands of them


@dataclass(frozen=True, slots=True)
class Desk:
    """The plan that a command is about, and who asks."""

    system: System
    why: str = ""

    @property
    def plan(self) -> str:
        """Its name."""
        return self.system.settings.plan

    @property
    def store(self) -> RedisStore:
        """The plan in Redis."""
        return self.system.store()

    @property
    def who(self) -> str:
        """user@host"""
        return f"{_user()}@{socket.gethostname()}"

    def since(self, text: str) -> datetime:
        """The time that `--since` names: an age such as 2h, or a moment. Raises InputError."""
        try:
            return self.system.clock.now() - parse_duration(text)
        except ValueError:
            try:
                return parse_time(text)
            except ValueError as error:
                raise InputError(f"--since: {error}, or as a duration such as 2h") from None

    def loaded(self) -> Overview:
        """One look at the plan. Raises NotFoundError when nothing is loaded under its name."""
        overview = self.store.overview()
        if overview.flags.revision == 0:
            if gone := self.system.gone(self.plan):
                raise NotFoundError(gone)
            others = ", ".join(self.system.fleet.plans())
            known = f"known plans: {others}" if others else "no plan is"
            raise NotFoundError(f"no plan is loaded as {self.plan!r} ({known}); load one with `moie load FILE`")
        return overview


def _user() -> str:
    """The account of this process. Not LOGNAME, which anybody may set: an approval asks who it was."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        return str(os.getuid())


def plan_option(function: Function) -> Function:
    """`--plan NAME`, and a desk instead of it."""

    @click.option("--plan", metavar="NAME", help="The plan. [default: MOIE_PLAN, else `default`]")
    @functools.wraps(function)
    def command(*args: Any, plan: str | None, why: str = "", **options: Any) -> Any:
        name_plan(plan)
        return function(Desk(System(settings.load(plan=plan)), why), *args, **options)

    return command


def reads(function: Function) -> Function:
    """The options of a command that looks."""
    return plan_option(json_option(function))


def acts(function: Function) -> Function:
    """The options of a command that changes something."""
    why = click.option("--why", metavar="TEXT", default="", callback=_short, help="The reason, kept in the journal.")
    return plan_option(why(function))


def _short(_: click.Context, __: click.Parameter, why: str) -> str:
    if len(why) > WHY_KEPT:
        raise click.BadParameter(f"has {len(why):,} characters, at most {WHY_KEPT:,} are kept; say where to read on")
    return why


def json_option(function: Function) -> Function:
    """`--json`"""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)

"""Cron expressions: five fields, names, ranges, steps, Sunday as 0 and 7, `L`, and `@daily` and its kin.

When clocks change, the hour field decides:

- It leaves hours out (`30 2 * * *`, `*/15 2 * * *`, `0 */2 * * *`): the times of day are meant. A time that the
  change skips runs once, at the jump; several skipped times run once together; a time that comes twice runs the
  first time only.
- It names every hour (`*`, `*/1`, `0-23`): a steady pace is meant. Skipped times are not made up for, and the hour
  that comes twice has runs both times.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from moie_worker.plan.times import Ms, moment, ms_of

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = (
    ("minute", "0-59", 60),
    ("hour", "0-23", 24),
    ("day of month", "1-31, L for the last day, LW for the last weekday", 31),
    ("month", "1-12 or JAN-DEC", 12),
    ("day of week", "0-7 or SUN-SAT (0 and 7 are Sunday), 5L for the last Friday, 1#2 for the second Monday", 7),
)
MAX_LENGTH = 500
ALL_HOURS = set(range(24))
MACHINE_ZONES = {"localtime", "posixrules"}  # mean something else on every machine
_PROBE = datetime(2024, 1, 1, tzinfo=UTC)  # the library looks 50 years ahead from here


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression. `fields` is the form with which the library keeps our rule for clock changes."""

    text: str
    fields: str

    def next_after(self, after: Ms, zone: tzinfo) -> Ms:
        """The first time strictly after `after`; ValueError when there is none within 50 years."""
        for found in CronSim(self.fields, moment(after).astimezone(zone)):
            # A time of day inside a doubled hour is told as its first coming, which may lie behind us.
            if (at := ms_of(found)) > after:
                return at
        raise ValueError(f'cron "{self.text}" never fires again after {moment(after):%Y-%m-%d}')


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Check an expression; ValueError says which field is wrong and what it may hold."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"cron expression of {len(text)} characters: at most {MAX_LENGTH} are accepted")
    parts = _expand(text.strip()).upper().split()
    if len(parts) != len(FIELDS):
        raise ValueError(f'cron "{text}" has {len(parts)} fields: write five, "minute hour day-of-month month '
                         f'day-of-week"; for less than a minute use `every`')  # fmt: skip
    parts[4] = re.sub(r"-(SUN|0)\b", "-7", parts[4])  # a range may end on Sunday
    for position, part in enumerate(parts):
        _check_field(text, position, part)
    cron = Cron(text, " ".join(parts))
    _check_fires(cron)
    return replace(cron, fields=_by_our_rule(parts))


def _expand(text: str) -> str:
    if not text.startswith("@"):
        return text
    if text.lower() not in ALIASES:
        raise ValueError(f'cron "{text}" is not known: use one of {", ".join(ALIASES)} or five fields')
    return ALIASES[text.lower()]


def _check_field(text: str, position: int, part: str) -> None:
    name, allowed, size = FIELDS[position]
    for step in re.findall(r"/(\d+)", part):
        if int(step) > size:
            raise ValueError(f'cron "{text}": a step of {step} in the {name} field never comes to its second turn: '
                             f"use at most {size}, or `every` for any other pace")  # fmt: skip
    alone = ["*"] * len(FIELDS)
    alone[position] = part
    try:
        CronSim(" ".join(alone), _PROBE)
    except CronSimError as error:
        raise ValueError(f'cron "{text}": bad {name} "{part}": allowed are {allowed}, with , - and /') from error


def _check_fires(cron: Cron) -> None:
    try:
        cron.next_after(ms_of(_PROBE), UTC)
    except (CronSimError, ValueError) as error:
        raise ValueError(f'cron "{cron.text}" never fires: no such day comes within 50 years') from error


def _by_our_rule(parts: list[str]) -> str:
    """The library tells a steady pace from times of day by a leading star in minute or hour: give it one or none."""
    minute, hour, *days = parts
    if CronSim(" ".join(parts), _PROBE).hours == ALL_HOURS:
        hour = "*"
    else:
        minute, hour = minute.replace("*", "0-59"), hour.replace("*", "0-23")
    return " ".join([minute, hour, *days])


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """The time zone of a name; ValueError with the nearest names when there is none."""
    if name == "UTC":
        return UTC
    try:
        if name in MACHINE_ZONES or not name:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = get_close_matches(name, _zone_names(), n=1, cutoff=0.6)
        hint = f'did you mean "{near[0]}"?' if near else 'write a name such as "UTC" or "Europe/Vienna"'
        raise ValueError(f'unknown time zone "{name}": {hint}') from error


@cache
def _zone_names() -> frozenset[str]:
    """Every name there is; to find them, some 600 files are opened."""
    return frozenset(available_timezones())


def validate_timezone(name: str) -> None:
    """ValueError when there is no such time zone."""
    zone_of(name)

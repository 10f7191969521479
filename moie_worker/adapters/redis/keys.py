"""The one namer of keys. All keys of a plan share a hash tag, so that a cluster keeps them in one slot."""

import re
from dataclasses import dataclass

from moie_worker.errors import InputError

PLAN_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Keys that never expire and are not a leak: all else must have a time to live.
PERMANENT = re.compile(
    r"moie:(?:plans|workers|beats|rings|entries:.+|alerts|alerts:events|chain|"
    r"\{[^}]+\}:(?:plan|phases|phases:order|phases:open|approvals|counts|state|evidence|cyclics|defs:\d+|load|"
    r"timed|ready:.+|waiting:.+|sent:.+|hints:.+|parked:.+|woken:\d+|wake|leases|attempts|"
    r"cyc:.+|runs:.+|receipts|receipts:seals|regressed|imported|dead|dead:.+|decisions|journal|acts|note:.+|captures|"
    r"restored|snapshots|snapshot:.+))"
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names for one plan: `Keys("default")("state")` is `moie:{default}:state`."""

    plan: str

    def __post_init__(self) -> None:
        if not PLAN_NAME.fullmatch(self.plan):
            raise InputError(f"plan name {self.plan!r}: use 1 to 64 letters, digits, dots, dashes or underscores")

    def __call__(self, *parts: str) -> str:
        return f"moie:{{{self.plan}}}:" + ":".join(parts)


PLANS = "moie:plans"
WORKERS = "moie:workers"
BEATS = "moie:beats"
RINGS = "moie:rings"
ENTRIES = "moie:entries"
ALERTS = "moie:alerts"
EVENTS = "moie:alerts:events"
CHAIN = "moie:chain"
SWEPT = "moie:swept"  # expires by itself


def worker(name: str) -> str:
    """The presence of one worker; expires by itself."""
    return f"moie:worker:{name}"


def beat(name: str) -> str:
    """The presence of one beat; expires by itself."""
    return f"moie:beat:{name}"

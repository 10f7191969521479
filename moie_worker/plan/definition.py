"""What the store keeps of a plan: flat definitions of jobs and phases, made from the document."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from moie_worker.plan.limits import APPROVAL_MS


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Definition:
    """A job as the store sees it. `job` is the document's job, read only by whoever runs it."""

    id: str
    position: int  # in the document
    phase: int
    queue: str
    digest: str  # of what is verified: command, action, time limit, environment
    limit_ms: int  # an attempt may not be renewed for longer than this
    job: Mapping[str, Any]
    cyclic: bool = False
    needs: tuple[str, ...] = ()  # ids of jobs that must be completed first, in a sequential phase the one before it too
    priority: int = 0
    timing: str = ""  # of the schedule, or of how often it is looked at again
    imported: bool = False  # a document of an older version says completed, and is believed
    idle: bool = False  # a cyclic job that has nothing to run
    at_load: bool = False  # a cyclic job that does not wait for its phase
    period_ms: int = 0  # the usual distance of two slots of a cyclic job
    signature: str = ""  # id of the author's key, colon, base64; of what is executed, not of this text
    reverified_by: str = ""  # id of what looks at it again once it is verified
    verifies: str = ""  # of such a look: id of the job that it looks at
    delay_ms: int = 0  # of such a look: so long after its job was verified it comes first

    def to_json(self) -> str:
        """Canonical JSON, the form in Redis. What a job does not use is not written: every step of it reads this.

        lua/lib_state.lua knows the values that are left out.
        """
        told = ((name, getattr(self, name)) for name in self.__slots__)
        return canonical({name: value for name, value in told if value or name not in _LEFT_OUT})

    @classmethod
    def from_json(cls, text: str) -> "Definition":
        """Read what `to_json` wrote, by another release too: a field that is added must have a default here."""
        raw = json.loads(text)
        return cls(
            **{name: raw[name] for name in cls.__slots__ if name in raw} | {"needs": tuple(raw.get("needs", ()))}
        )


_LEFT_OUT = frozenset(field.name for field in fields(Definition) if field.default is not MISSING)


@dataclass(frozen=True, slots=True)
class PhaseDefinition:
    """A phase as the store sees it."""

    id: int
    name: str
    approval: bool
    digest: str  # of its jobs and of how many must approve: an approval holds for these only
    persons: int = 1  # so many must approve
    expires_ms: int = APPROVAL_MS  # without an answer for so long, the answer is no

    def to_json(self) -> str:
        """Canonical JSON, the form in Redis."""
        return canonical({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> "PhaseDefinition":
        """Read what `to_json` wrote, by another release too: a field that is added must have a default here."""
        raw = json.loads(text)
        return cls(**{name: raw[name] for name in cls.__slots__ if name in raw})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A whole plan, ready to be loaded."""

    meta: Mapping[str, Any]  # the document without its jobs' bodies: what an export needs besides the jobs
    phases: tuple[PhaseDefinition, ...]
    jobs: tuple[Definition, ...]

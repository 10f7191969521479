"""A snapshot: a plan with where its jobs stand, as one file that says whether it is whole.

What is in flight is not in it: a job that is offered or runs is `open` there, and finds its place again when it is
restored. Neither are the journal and receipts, which tell what happened and never go back.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from moie_worker.errors import InputError
from moie_worker.plan.definition import Definition, canonical
from moie_worker.plan.limits import AHEAD_MS
from moie_worker.plan.reverify import SUFFIX, is_look
from moie_worker.plan.states import Place
from moie_worker.plan.times import Ms, moment

MAGIC = b"moie-snapshot 1\n"
OPEN = "open"  # parked, ready, offered or running: where it belongs is found out when it is restored
KEPT = frozenset({Place.TIMED, Place.WAITING, Place.COMPLETED, Place.DEAD, Place.CANCELLED})
SCORED = frozenset({Place.TIMED, Place.WAITING})
LARGEST = 512 * 1024 * 1024  # bytes of a plan; a file that says or holds more is refused
TABS = 3  # in the line of a job
PIECE = 500  # lines that are packed at once: they fit into the cache of a core
LEVEL = 1  # of zlib: the texts repeat themselves, and more effort gains little
NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-r\d{1,9}-(?P<kind>[a-z]{1,12})", re.ASCII)


class Kind(StrEnum):
    """Why a snapshot was taken; as many are kept of each."""

    HEARTBEAT = "heartbeat"  # before a heartbeat that has something to do
    PROMOTION = "promotion"  # before a phase was reached
    MANUAL = "manual"  # somebody asked for it
    REPLACED = "replaced"  # what a restore, or a load that removes jobs, took the place of


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself before it is opened."""

    plan: str
    kind: Kind
    revision: int
    at: Ms  # Redis' time
    jobs: int
    completed: int
    journal: str  # the newest entry of the journal then
    digest: str  # SHA-256 of what is restored: equal plans in equal places have equal digests
    size: int  # bytes, opened
    sha256: str  # of all else in the file

    @property
    def name(self) -> str:
        """Revision and time; names in order are in order of time."""
        at = moment(self.at)
        return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z-r{self.revision}-{self.kind}"

    @property
    def ahead(self) -> str:
        """Names behind this are of a time to come. Two that were taken beside each other are not."""
        return f"{moment(self.at + AHEAD_MS):%Y%m%dT%H%M%S}"

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Read what `to_json` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        raw = json.loads(text)
        return cls(**raw | {"kind": Kind(raw["kind"])})


@dataclass(frozen=True, slots=True)
class SavedJob:
    """One job in a snapshot."""

    id: str
    place: str  # a Place of `KEPT`, or OPEN
    attempts: int
    losses: int
    solo: int
    duration_ms: int
    first_at: Ms
    score: int
    slot: Ms
    definition: str  # canonical JSON
    evidence: str  # JSON; empty without any

    def line(self) -> str:
        """One line of a snapshot. JSON has no tabs and no line ends of its own."""
        return f"{self.id}\t{'|'.join(map(str, self._numbers()))}\t{self.definition}\t{self.evidence}"

    def _numbers(self) -> Sequence[object]:
        return (
            self.place, self.attempts, self.losses, self.solo, self.duration_ms, self.first_at, self.score, self.slot
        )  # fmt: skip

    @classmethod
    def parse(cls, line: str) -> "SavedJob":
        """Read what `line` wrote."""
        job, packed, definition, evidence = line.split("\t")
        place, *numbers = packed.split("|")
        attempts, losses, solo, duration_ms, first_at, score, slot = map(int, numbers)
        return cls(job, place, attempts, losses, solo, duration_ms, first_at, score, slot, definition, evidence)


@dataclass(frozen=True)
class Saved:
    """A plan as it stood. `flags` (paused, cancelled, frontier, reached) count only where nothing is loaded."""

    plan: str
    revision: int
    at: Ms
    journal: str
    flags: Mapping[str, str]
    meta: Mapping[str, Any]
    phases: Mapping[str, str]  # id -> the JSON of its definition
    approvals: Mapping[str, str]  # phase -> the JSON of the answer
    letters: Mapping[str, Mapping[str, str]]  # id -> the fields of a dead letter
    totals: Mapping[str, Mapping[str, str]]  # cyclic job -> runs and failures of all time, and the last of them
    lines: tuple[str, ...]  # of `SavedJob`, by id

    @cached_property
    def jobs(self) -> tuple[SavedJob, ...]:
        """The jobs, by id."""
        return tuple(map(SavedJob.parse, self.lines))

    @property
    def queues(self) -> list[str]:
        """The queues of its jobs."""
        return sorted({Definition.from_json(job.definition).queue for job in self.jobs})

    def content(self) -> Iterator[bytes]:
        """What is restored, always in the same bytes, some at a time: a large buffer costs more than what fills it.

        Raises InputError for a job that cannot be a line.
        """
        names = ("meta", "phases", "approvals", "letters", "totals")
        yield canonical({name: getattr(self, name) for name in names}).encode()
        for start in range(0, len(self.lines), PIECE):
            lines = self.lines[start : start + PIECE]
            piece = "\n".join(("", *lines))
            if piece.count("\t") != TABS * len(lines) or piece.count("\n") != len(lines):
                raise InputError(
                    f"plan {self.plan}: a job has a tab or a line end in its id or its JSON; load it again"
                )
            yield piece.encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        made = hashlib.sha256()
        for piece in self.content():
            made.update(piece)
        return made.hexdigest()


def leaving(names: Iterable[str], newest: Manifest) -> list[str]:
    """Other snapshots of a kind in the order in which they go, when one more was kept.

    The oldest go first; before them those of a time to come: a clock went back, and they would stay for ever.
    """
    return sorted(names, key=lambda name: (name < newest.ahead, name))


def order(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines as they stand in a snapshot."""
    return tuple(sorted(lines))


def pack(saved: Saved, kind: Kind) -> tuple[Manifest, bytes]:
    """The file of a snapshot. Raises InputError for one that is larger than what would be opened again."""
    flags = canonical(dict(saved.flags)).encode() + b"\n"
    packer, digest, size, completed = zlib.compressobj(LEVEL), hashlib.sha256(), len(flags), 0
    parts = [packer.compress(flags)]
    for piece in saved.content():
        parts.append(packer.compress(piece))
        digest.update(piece)
        size += len(piece)
        completed += piece.count(b"\tcompleted|")  # no JSON holds a tab
    if size > LARGEST:
        raise InputError(f"plan {saved.plan}: {size} bytes are too many for a snapshot, {LARGEST} at most")
    body = b"".join((*parts, packer.flush()))
    manifest = Manifest(
        plan=saved.plan,
        kind=kind,
        revision=saved.revision,
        at=saved.at,
        jobs=len(saved.lines) - sum(1 for line in saved.lines if _LOOK in line and _is_look(line)),
        completed=completed,
        journal=saved.journal,
        digest=digest.hexdigest(),
        size=size,
        sha256="",
    )
    manifest = replace(manifest, sha256=_seal(manifest, body))
    return manifest, MAGIC + manifest.to_json().encode() + b"\n" + body


_LOOK = f"{SUFFIX}\t"  # at the end of an id: no JSON holds a tab, so it is nowhere else


def _is_look(line: str) -> bool:
    job = line[: line.index("\t")]
    return job.endswith(SUFFIX) and is_look(job, line.split("\t")[2])


def _seal(manifest: Manifest, body: bytes) -> str:
    return hashlib.sha256(replace(manifest, sha256="").to_json().encode() + body).hexdigest()


def read_manifest(data: bytes, where: str) -> Manifest:
    """What the first lines of a file say. Raises InputError for what is no snapshot."""
    magic, _, rest = data.partition(b"\n")
    if magic + b"\n" != MAGIC:
        raise InputError(f"{where}: is no snapshot of this version; `moie backup list` names those that are")
    try:
        return Manifest.from_json(rest.partition(b"\n")[0])
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{where}: its first lines are damaged; take another snapshot") from None


def unpack(data: bytes, where: str) -> tuple[Manifest, Saved]:
    """Open a snapshot, every byte of which must be the one that was written. Raises InputError."""
    manifest = read_manifest(data, where)
    body = data.split(b"\n", 2)[2]
    if _seal(manifest, body) != manifest.sha256 or manifest.size > LARGEST:
        raise InputError(f"{where}: is damaged or was changed (SHA-256 differs); take another snapshot")
    opener = zlib.decompressobj()
    try:
        opened = opener.decompress(body, manifest.size + 1)  # never more than it says, whatever is in it
    except zlib.error as error:
        raise InputError(f"{where}: cannot be opened: {error}; take another snapshot") from None
    saved = _parse(manifest, opened, where)
    if len(opened) != manifest.size or saved.digest != manifest.digest:
        raise InputError(f"{where}: does not hold what its first lines say; take another snapshot")
    return manifest, saved


def _parse(manifest: Manifest, opened: bytes, where: str) -> Saved:
    try:
        flags, head, *lines = opened.decode().split("\n")
        parts = json.loads(head)
        return Saved(
            plan=manifest.plan,
            revision=manifest.revision,
            at=manifest.at,
            journal=manifest.journal,
            flags=json.loads(flags),
            lines=tuple(lines),
            **parts,
        )
    except (ValueError, TypeError):
        raise InputError(f"{where}: does not hold a plan; take another snapshot") from None


def under(saved: Saved, plan: str) -> Saved:
    """The same plan by another name."""
    return replace(saved, plan=plan)

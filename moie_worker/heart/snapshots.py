"""Taking, finding and bringing back snapshots of one plan."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moie_worker.errors import MoieError, NotFoundError, RefusedError, UnreachableError
from moie_worker.plan.snapshot import Kind, Manifest, Saved, pack, unpack
from moie_worker.ports.snapshots import Photographed, Shelf

CHANGED = "plan {plan} was loaded anew meanwhile, or nothing is loaded: there is no snapshot of it. Try again"

QUIET = frozenset({"heartbeat", "phase.asked"})  # events that change nothing worth a snapshot
JOURNAL_SEEN = 200  # entries in which a change is looked for; there is one where all of them are new

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a snapshot that was taken."""

    manifest: Manifest
    kept: Sequence[str]  # where
    problems: Sequence[str]  # why not elsewhere


@dataclass(frozen=True, slots=True)
class Keeper:
    """One plan and the shelves that its snapshots stand on; those that are read first come first."""

    store: Photographed
    shelves: Sequence[Shelf]

    def take(self, kind: Kind) -> Kept:
        """Take a snapshot now. Raises MoieError when no shelf keeps it, RefusedError when nothing is loaded."""
        kept = self._write(self.store.capture(), kind)
        if kept is None:
            raise RefusedError(CHANGED.format(plan=self.store.plan))
        return kept

    def collect(self) -> list[Kept]:
        """Write what promotions left; what cannot be read any more is dropped. Raises MoieError as `take`.

        Another revision ends what can be read of them, so this goes before it.
        """
        written = (self._write(capture, Kind.PROMOTION) for capture in self.store.captures())
        return [kept for kept in written if kept is not None]

    def _write(self, capture: str, kind: Kind) -> Kept | None:
        saved = self.store.saved(capture)
        kept = None if saved is None else self._keep(*pack(saved, kind))
        self.store.drop(capture)
        return kept

    def _keep(self, manifest: Manifest, data: bytes) -> Kept:
        kept, problems = [], []
        for shelf in self.shelves:
            try:
                shelf.put(manifest, data)
                kept.append(shelf.where)
            except MoieError as error:
                problems.append(str(error))
        if not kept:
            raise MoieError("\n".join(problems))
        return Kept(manifest, kept, problems)

    def index(self) -> list[tuple[Manifest, list[str]]]:
        """All snapshots with where they are, the oldest first."""
        found: dict[str, tuple[Manifest, list[str]]] = {}
        for shelf in self.shelves:
            for manifest in shelf.index():
                found.setdefault(manifest.name, (manifest, []))[1].append(shelf.where)
        return [found[name] for name in sorted(found)]

    def open(self, name: str | None = None) -> tuple[Manifest, Saved]:
        """A snapshot by name, or the newest; a damaged copy is passed over where there is another one.

        Raises NotFoundError, or InputError when every copy is damaged.
        """
        name = name or self._newest()
        damaged: MoieError | None = None
        for shelf in self.shelves:
            try:
                data = shelf.get(name)
                if data is not None:
                    return unpack(data, f"snapshot {name} in {shelf.where}")
            except MoieError as error:
                damaged = error
        raise damaged or NotFoundError(f"no snapshot {name!r} of {self.store.plan}; `moie backup list` names them")

    def is_due(self) -> bool:
        """Whether anything happened since the newest snapshot."""
        known = [manifest.journal for shelf in self.shelves for manifest in shelf.index()[-1:]]
        since = max(map(_position, known), default=(0, 0))
        return any(
            entry.event not in QUIET and _position(entry.id) > since for entry in self.store.read_journal(JOURNAL_SEEN)
        )

    def _newest(self) -> str:
        snapshots = self.index()
        if not snapshots:
            places = " and ".join(shelf.where for shelf in self.shelves)
            raise NotFoundError(f"no snapshot of {self.store.plan} in {places}")
        return snapshots[-1][0].name

    def restore(
        self, saved: Saved, base: int, who: str, why: str, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Bring it back over revision `base`, which is saved first; returns the new revision, `apply` does the rest.

        Raises RefusedError when somebody else changed the plan, MoieError when what is there cannot be saved.
        """
        if base:
            self.collect()
            self.take(Kind.REPLACED)
        return self.store.restore(saved, base, who, why, progress)


def before_heartbeat(keeper: Keeper) -> str:
    """Save what promotions left, and the plan where anything happened to it; returns what went wrong, for the report.

    Whatever goes wrong with it, the heartbeat goes on. Raises UnreachableError.
    """
    overview = keeper.store.overview()
    if overview.flags.revision == 0 or overview.flags.loading:
        return ""
    try:
        kept = keeper.collect()
        if keeper.is_due():
            kept.append(keeper.take(Kind.HEARTBEAT))
        problems = [problem for each in kept for problem in each.problems]
    except UnreachableError:
        raise
    except MoieError as error:
        problems = [str(error)]
    for problem in problems:
        log.error("plan %s: %s", keeper.store.plan, problem)
    return "\n".join(f"NO SNAPSHOT: {problem}" for problem in dict.fromkeys(problems))


def gone(plan: str, folder: Shelf) -> str | None:
    """What to say of a plan that is not loaded, though this machine keeps snapshots of it; None without any."""
    kept = folder.index()
    if not kept:
        return None
    return (
        f"plan {plan} is GONE from Redis, which came back empty or was emptied. Its newest snapshot on this machine is "
        f"{kept[-1].name} ({kept[-1].completed}/{kept[-1].jobs} completed): `moie backup restore --plan {plan}`"
    )


def _position(number: str) -> tuple[int, int]:
    """Of an entry in the journal."""
    at, _, more = number.partition("-")
    return int(at), int(more or 0)

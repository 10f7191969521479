"""Twins, in memory, of the dead letter box and the run log: what they mean, without a Redis. For tests."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.letters import (
    Claim,
    Death,
    Letter,
    LetterFilter,
    LetterHead,
    LetterPage,
    Measured,
    Run,
    RunHistory,
    Watched,
)
from moie_worker.plan.limits import RUNS_KEPT

Now = Callable[[], datetime]


@dataclass(slots=True)
class _Kept:
    letter: Letter
    death: str
    order: int  # of deaths: later ones come first
    claimed_until: datetime | None = None


class MemoryDeadLetters:
    """Implements `DeadLetterBox`."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._order = 0
        self.journal: list[tuple[str, str, str, str, dict[str, Any]]] = []  # event, name, who, why, data

    def put(self, death: Death) -> bool:
        """See `DeadLetterBox`."""
        known = self._kept.get(death.id)
        if known and death.death and known.death == death.death:
            return False
        self._order += 1
        before = known.letter.head if known else None
        letter = Letter(_head(death, before, self._now()), _json(death.payload), _json(death.evidence))
        self._kept[death.id] = _Kept(letter, death.death, self._order)
        return True

    def count(self) -> int:
        """See `DeadLetterBox`."""
        return len(self._kept)

    def page(self, wanted: LetterFilter, cursor: str = "", limit: int = 100) -> LetterPage:
        """See `DeadLetterBox`; the cursor is the order of the last one shown."""
        ordered = sorted(self._kept.values(), key=lambda kept: -kept.order)
        below = [kept for kept in ordered if not cursor or kept.order < int(cursor)]
        taken = [kept for kept in below if wanted.takes(kept.letter.head)]
        page = taken[:limit]
        return LetterPage([kept.letter.head for kept in page], str(page[-1].order) if len(page) == limit else "")

    def get(self, letter_id: str) -> Letter:
        """See `DeadLetterBox`."""
        return self._find(letter_id).letter

    def claim(self, letter_id: str, hold: timedelta, *, again: bool = False) -> Claim:
        """See `DeadLetterBox`."""
        kept, now = self._find(letter_id), self._now()
        if kept.claimed_until and kept.claimed_until > now:
            raise RefusedError(f"dead letter {letter_id} is being replayed by somebody else")
        if kept.letter.head.replayed_at and not again:
            raise RefusedError(f"dead letter {letter_id} was replayed already; force it to replay again")
        kept.claimed_until, kept.death = now + hold, ""
        return Claim(kept.letter, kept.claimed_until.isoformat())

    def release(self, claim: Claim) -> None:
        """See `DeadLetterBox`."""
        if kept := self._held(claim):
            kept.claimed_until = None

    def mark_replayed(self, claim: Claim, replayed_as: str, who: str, why: str) -> None:
        """See `DeadLetterBox`."""
        head = claim.letter.head
        if kept := self._held(claim):
            kept.claimed_until = None
            marked = replace(head, replays=head.replays + 1, replayed_at=self._now(), replayed_as=replayed_as)
            kept.letter = replace(kept.letter, head=marked)
        self.journal.append(("dead.replayed", head.name, who, why, {"id": head.id, "replayed_as": replayed_as}))

    def discard(self, letter_id: str, who: str, why: str) -> None:
        """See `DeadLetterBox`."""
        head = self._find(letter_id).letter.head
        del self._kept[letter_id]
        data = {"id": letter_id, "kind": head.kind.value, "reason": head.reason, "attempts": head.attempts}
        self.journal.append(("dead.discarded", head.name, who, why, data))

    def _find(self, letter_id: str) -> _Kept:
        if letter_id not in self._kept:
            raise NotFoundError(f"no dead letter {letter_id!r}")
        return self._kept[letter_id]

    def _held(self, claim: Claim) -> _Kept | None:
        kept = self._kept.get(claim.letter.head.id)
        held = kept is not None and kept.claimed_until is not None and kept.claimed_until.isoformat() == claim.mark
        return kept if held else None


def _head(death: Death, before: LetterHead | None, now: datetime) -> LetterHead:
    return LetterHead(
        id=death.id,
        kind=death.kind,
        name=death.name,
        reason=death.reason,
        attempts=death.attempts + (before.attempts if before else 0),
        deaths=1 + (before.deaths if before else 0),
        replays=before.replays if before else 0,
        first_at=before.first_at if before else now,
        last_at=now,
    )


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))


class MemoryRunLog:
    """Implements `RunLog`."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._histories: dict[str, RunHistory] = {}
        self._watched: dict[str, Watched] = {}

    def record(self, run_of: Watched, measured: Measured, ago: timedelta = timedelta()) -> None:
        """See `RunLog`."""
        old = self.history(run_of.name)
        recent = [Run(self._now() - ago, measured), *old.recent][:RUNS_KEPT]
        failed = bool(measured.error)
        kept_failures = sum(bool(run.measured.error) for run in recent)
        self._histories[run_of.name] = RunHistory(
            run_of.name, old.runs + 1, old.failures + failed, kept_failures, recent
        )
        self._watched[run_of.name] = run_of

    def history(self, name: str) -> RunHistory:
        """See `RunLog`."""
        return self._histories.get(name, RunHistory(name, 0, 0, 0, []))

    def watched(self) -> list[Watched]:
        """See `RunLog`."""
        return [self._watched[name] for name in sorted(self._watched)]

    def forget(self, name: str) -> None:
        """See `RunLog`."""
        if self._watched.pop(name, None):
            self._histories.pop(name, None)

"""The steps of an attempt, one script each."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from moie_worker.adapters.redis.base import Base
from moie_worker.plan.definition import Definition
from moie_worker.plan.flow import Answer, Attempt, Hint, Reserved, Settlement
from moie_worker.plan.texts import json_of
from moie_worker.plan.times import Ms, to_ms

APART = ("evidence", "receipt")  # JSON that is kept as it comes: no script reads it
_USUAL = {field.name: field.default for field in fields(Settlement) if field.name not in APART}


class Steps(Base):
    """What beats and workers do."""

    def reserve(self, queue: str, window: int, name: str) -> Reserved:
        """Offer due jobs of a queue until its window is full; `name` makes the ids of the hints unique."""
        more, next_due, *hints = self.call("reserve", {"queue": queue, "window": window, "name": name})
        return Reserved(
            tuple(Hint(hint, queue, tuple(jobs)) for hint, *jobs in hints),
            more=bool(more),
            next_due=int(float(next_due)) if next_due else None,
        )

    def sent(self, hint: Hint) -> None:
        """The hint was published: wait longer for somebody to begin it, and longer again each time."""
        self.call("sent", [hint.queue, hint.id, *hint.jobs])

    def begin(self, hint: Hint, nonce: str, worker: str, lease: timedelta) -> list[Attempt]:
        """Take what a hint names and may run now; the same nonce again gets the same answer."""
        jobs = dict.fromkeys(hint.jobs)  # a job that is named twice runs once
        rows = self.call("begin", [hint.queue, hint.id, nonce, worker, to_ms(lease), *jobs])
        return [_attempt(row) for row in rows]

    def renew(self, tokens: Sequence[str], lease: timedelta, hint: Hint) -> list[str]:
        """For each token: `ok`, a reason of `Stopped`, or `gone` (not held, or past its time limit)."""
        answers: list[str] = self.call("renew", [hint.queue, hint.id, to_ms(lease), *tokens])
        return answers

    def arm(self, token: str, slot: Ms, due: Ms) -> bool:
        """Arm the next slot of an overlapping job while its attempt runs; False when the token holds nothing."""
        return bool(self.call("arm", {"token": token, "slot": slot, "due": due}))

    def settle(self, settlements: Sequence[Settlement], hint: Hint, done: bool) -> list[Answer]:
        """End attempts. `done` says that this was the last of the hint, which frees its slot."""
        texts = [text for each in settlements for text in (json_of(_fields(each)), each.evidence, each.receipt)]
        return [Answer(a) for a in self.call("settle", [hint.queue, hint.id, int(done), *texts])]

    def release(self, tokens: Sequence[str], hint: Hint, done: bool) -> None:
        """Give back what was begun and not started; it counts as never begun."""
        self.call("release", [hint.queue, hint.id, int(done), *tokens])

    def gap(self) -> None:
        """Redis was away: what was running then is not charged, and nobody is rescued for one renewal."""
        self.call("gap")

    def audit(self, count: int) -> list[str]:
        """Look at about so many jobs again, going round; returns those that were not where their state said.

        They are put right. Redis and our scripts keep them right; this is for whoever wrote into Redis by hand.
        """
        return [str(job) for job in self.call("audit", [count])]

    def rescue(self) -> int:
        """Take back attempts whose lease ended; returns how many."""
        return int(self.call("rescue"))


def _attempt(row: Sequence[Any]) -> Attempt:
    token, definition, attempts, losses, first_at, slot, started_at, free_at, revision = row
    return Attempt(
        token=token,
        definition=Definition.from_json(definition),
        attempts=int(attempts),
        losses=int(losses),
        first_at=int(first_at),
        slot=int(slot),
        started_at=int(started_at),
        free_at=int(free_at),
        revision=int(revision),
    )


def _fields(settlement: Settlement) -> dict[str, Any]:
    """What differs from what is usual; lua/settle.lua knows that."""
    told = ((name, getattr(settlement, name), usual) for name, usual in _USUAL.items())
    return {name: value for name, value, usual in told if value != usual}

"""Reads a plan in Redis for an audit: in pages, each job and each attempt in one look."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from moie_worker.adapters.redis.reading import Reading
from moie_worker.plan.invariants import Held, Standing
from moie_worker.plan.states import Place
from moie_worker.ports.audit import AttemptLook, Look, Sum

PAGE = 100  # jobs in one script, a millisecond or two
NAMES = 1000  # names in one command
TRIES = 3


class Auditing(Reading):
    """Implements `Audited`."""

    def sum(self) -> Sum:
        """What is counted of the whole plan. Jobs come and go at loads only: their number tells of one."""
        before = self._lengths()
        for _ in range(TRIES):
            overview, lengths = self.overview(), self._lengths()
            if lengths[:2] == before[:2]:
                break
            before = lengths
        return Sum(overview, *lengths)

    def _lengths(self) -> tuple[int, int, str]:
        jobs, definitions, newest = self.call("lengths")
        return int(jobs), int(definitions), str(newest)

    def job_pages(self) -> Iterator[list[str]]:
        """Ids of all jobs that have a state; some perhaps twice."""
        for page in self._scan("hscan", self.key("state"), PAGE):
            for start in range(0, len(page), PAGE):  # a small hash is given as a whole
                yield page[start : start + PAGE]

    def look(self, jobs: Sequence[str]) -> list[Look]:
        """Where some jobs stand."""
        rows = self.call("look", [json.dumps(self.queues()), *jobs])
        return [_look(job, json.loads(row)) for job, row in zip(jobs, rows, strict=True)]

    def attempt_pages(self) -> Iterator[list[str]]:
        """Tokens of all attempts and leases; some twice."""
        yield from self._scan("hscan", self.key("attempts"), NAMES)
        yield from self._scan("zscan", self.key("leases"), NAMES)

    def look_at_attempts(self, tokens: Sequence[str]) -> AttemptLook:
        """What attempts hold."""
        now, gap_at, *rows = self.call("look_attempts", list(tokens))
        held = {token: _held(json.loads(row)) for token, row in zip(tokens, rows, strict=True)}
        return AttemptLook(int(now), int(gap_at), held)

    def strangers(self) -> Iterator[str]:
        """Members of orders that have no state."""
        for key in self._order_keys((Place.TIMED, Place.READY, Place.WAITING, Place.SENT)):
            for page in self._scan("zscan", key, NAMES):
                with self.reaching():
                    states: list[Any] = self.client.hmget(self.key("state"), page) if page else []
                yield from (name for name, state in zip(page, states, strict=True) if not state)

    def _scan(self, command: str, key: str, count: int) -> Iterator[list[str]]:
        cursor = 0
        while True:
            with self.reaching():
                answer: Any = getattr(self.client, command)(key, cursor, count=count)
            cursor, found = answer
            yield [str(each[0]) if isinstance(each, tuple) else str(each) for each in found]
            if cursor == 0:
                return


def _look(job: str, row: dict[str, Any]) -> Look:
    place = Place(row["place"]) if "place" in row else None
    standing = Standing(
        place,
        known=row["known"],
        token=row.get("token", ""),
        order=row.get("order", ""),
        orders=tuple(row["orders"] or ()),
        waits_for=row.get("waits_for", ""),
        listed=row.get("listed", True),
        woken=row.get("woken", False),
        regressed=row["regressed"],
        letter=row.get("letter", True),
        leased=row.get("leased", True),
    )
    return Look(
        job, standing, kind=row.get("kind", ""), phase=int(row.get("phase", 0)),
        verified=row.get("verified", ""), at=int(row.get("at", 0)),
    )  # fmt: skip


def _held(row: dict[str, Any]) -> Held:
    return Held(
        job=row.get("job", ""),
        until=int(float(row["until_ms"])) if "until_ms" in row else None,
        armed=row.get("armed", False),
        known=row.get("known", False),
        owned=row.get("owned", False),
    )

"""The dead letter box in Redis: `dead` orders the letters by their last death, `dead:{id}` holds one."""

import json
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, cast

from redis import Redis

from moie_worker.adapters.redis.base import readable
from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.letters import Claim, Death, Letter, LetterFilter, LetterHead, LetterKind, LetterPage
from moie_worker.plan.times import moment, ms_of, to_ms

HEAD = (
    "id",
    "kind",
    "job",
    "reason",
    "attempts",
    "deaths",
    "replays",
    "first_at",
    "last_at",
    "replayed_at",
    "replayed_as",
)
BATCH = 500  # heads read at once when a filter is looked for


class RedisDeadLetters:
    """Implements `DeadLetterBox`. Safe to use from several threads."""

    def __init__(self, client: Redis, plan: str) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._keys = Keys(plan)
        self._where = address_of(client)

    def put(self, death: Death) -> bool:
        """See `DeadLetterBox`. Raises UnreachableError."""
        return bool(
            self._run(
                "dead_letter",
                id=death.id,
                death=death.death,
                kind=death.kind.value,
                name=death.name,
                reason=death.reason,
                attempts=death.attempts,
                payload=json.dumps(death.payload),
                evidence=json.dumps(death.evidence),
            )
        )

    def count(self) -> int:
        """See `DeadLetterBox`."""
        with translated(self._where):
            return self._client.zcard(self._keys("dead"))

    def page(self, wanted: LetterFilter, cursor: str = "", limit: int = 100) -> LetterPage:
        """See `DeadLetterBox`; reads on until the page is full or the letters are at their end."""
        found: list[LetterHead] = []
        while True:
            heads = self._heads(cursor, wanted)
            for head in heads:
                cursor = f"{ms_of(head.last_at)}:{head.id}"
                if wanted.takes(head):
                    found.append(head)
                if len(found) == limit:
                    return LetterPage(found, cursor)
            if len(heads) < BATCH:
                return LetterPage(found)

    def _heads(self, cursor: str, wanted: LetterFilter) -> list[LetterHead]:
        at, _, letter_id = cursor.partition(":")
        oldest = ms_of(wanted.since) if wanted.since else "-inf"
        rows = self._run("dead_page", cursor_id=letter_id, cursor_at=at, oldest=oldest, limit=BATCH)
        with self._readable("a dead letter"):
            return [_head(dict(zip(HEAD, row, strict=True))) for row in rows]

    def get(self, letter_id: str) -> Letter:
        """See `DeadLetterBox`."""
        with translated(self._where):
            fields = cast(dict[str, str], self._client.hgetall(self._keys("dead", letter_id)))
        if not fields:
            raise _missing(letter_id)
        with self._readable(f"dead letter {letter_id}"):
            return _letter(fields)

    def claim(self, letter_id: str, hold: timedelta, *, again: bool = False) -> Claim:
        """See `DeadLetterBox`."""
        answer, *rest = self._act("dead_claim", id=letter_id, again=int(again), hold_ms=to_ms(hold))
        if answer == "missing":
            raise _missing(letter_id)
        if answer == "claimed":
            raise RefusedError(
                f"dead letter {letter_id} is being replayed by somebody else until {moment(int(rest[0])):%H:%M:%S} UTC"
            )
        if answer == "replayed":
            at = moment(int(rest[0]))
            raise RefusedError(
                f"dead letter {letter_id} was replayed at {at:%Y-%m-%d %H:%M:%S} UTC and did not die since; "
                "force it to replay it again"
            )
        mark, *pairs = rest
        return Claim(_letter(dict(zip(pairs[::2], pairs[1::2], strict=True))), mark)

    def release(self, claim: Claim) -> None:
        """See `DeadLetterBox`."""
        self._run("dead_release", id=claim.letter.head.id, mark=claim.mark)

    def mark_replayed(self, claim: Claim, replayed_as: str, who: str, why: str) -> None:
        """See `DeadLetterBox`."""
        self._act("dead_replayed", id=claim.letter.head.id, mark=claim.mark, replayed_as=replayed_as, who=who, why=why)

    def discard(self, letter_id: str, who: str, why: str) -> None:
        """See `DeadLetterBox`."""
        if not self._act("dead_discard", id=letter_id, who=who, why=why):
            raise _missing(letter_id)

    def _readable(self, what: str) -> AbstractContextManager[None]:
        return readable(f"{what} of plan {self._keys.plan} in Redis")

    def _act(self, script: str, **args: Any) -> Any:
        """Run what must not be done twice, though the client asks again where an answer was lost."""
        with translated(self._where):
            return self._scripts.run(script, [self._keys("plan"), self._keys("once", secrets.token_hex(8))], args)

    def _run(self, script: str, **args: Any) -> Any:
        with translated(self._where):
            return self._scripts.run(script, [self._keys("plan")], args)


def _missing(letter_id: str) -> NotFoundError:
    return NotFoundError(f"no dead letter {letter_id!r}; `moie dead list` names them")


def _head(fields: Mapping[str, str | None]) -> LetterHead:
    replayed_at = fields.get("replayed_at")
    return LetterHead(
        id=fields["id"] or "",
        kind=LetterKind(fields["kind"] or ""),
        name=fields["job"] or "",
        reason=fields["reason"] or "",
        attempts=int(fields["attempts"] or 0),
        deaths=int(fields["deaths"] or 0),
        replays=int(fields.get("replays") or 0),
        first_at=moment(int(fields["first_at"] or 0)),
        last_at=moment(int(fields["last_at"] or 0)),
        replayed_at=moment(int(replayed_at)) if replayed_at else None,
        replayed_as=fields.get("replayed_as") or "",
    )


def _letter(fields: Mapping[str, str]) -> Letter:
    return Letter(_head(fields), json.loads(fields["payload"] or "{}"), json.loads(fields["evidence"] or "{}"))

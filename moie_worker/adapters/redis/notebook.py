"""The memory of actions in Redis: what was seen, what is new, whose turn it is."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from redis import Redis

from moie_worker.adapters.items import checked
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.plan.times import moment, ms_of, to_ms
from moie_worker.ports import REMEMBERED, Item


class RedisNotebook:
    """One plan's notebook. Takes a client of either kind, with or without `decode_responses`.

    A stream entry has the item's fields and, beside them, `key`, `version` and `before`: the version that was seen
    before, empty for none. Items come back from `publish_new` with the same `before`.
    """

    def __init__(self, client: "Redis", keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._scripts = Scripts(client)

    def publish_new(self, topic: str, items: Sequence[Item], keep: int, remember: int = REMEMBERED) -> list[Item]:
        """Remember the items and append the new ones to the stream of at most `keep` entries, in one atomic step."""
        if not items:
            return []
        packed = [json.dumps([item.key, item.version, _flat(item.fields)]) for item in checked(items)]
        names = [self._note(topic, part) for part in ("seen", "sighted", "stream")]
        answer = [_text(part) for part in self._scripts.run("publish_new", names, [keep, remember, *packed])]
        return [
            replace(items[int(position) - 1], fields={**items[int(position) - 1].fields, "before": before})
            for position, before in zip(answer[::2], answer[1::2], strict=True)
        ]

    def published(self, topic: str, since: datetime) -> list[tuple[datetime, Mapping[str, str]]]:
        """What the stream holds since a time, oldest first; times are Redis' own."""
        entries = cast(list[Any], self._client.xrange(self._note(topic, "stream"), min=max(ms_of(since), 0)))
        return [
            (moment(int(_text(entry).partition("-")[0])), {_text(name): _text(value) for name, value in fields.items()})
            for entry, fields in entries
        ]

    def turn(self, topic: str, interval: timedelta) -> timedelta:
        """Take the next turn; returns how long the caller must wait for it."""
        waits = self._scripts.run("turn", [self._note(topic, "turn")], {"interval_ms": to_ms(interval)})
        return timedelta(milliseconds=int(waits))

    @contextmanager
    def exclusive(self, topic: str, ttl: timedelta) -> Iterator[bool]:
        """Hold a topic alone for at most `ttl`; yields False when somebody else holds it."""
        lock, holder = self._note(topic, "lock"), secrets.token_hex(16)
        if not self._client.set(lock, holder, nx=True, px=max(to_ms(ttl), 1)):
            yield False
            return
        try:
            yield True
        finally:
            self._scripts.run("unlock", [lock], {"holder": holder})

    def _note(self, topic: str, part: str) -> str:
        return self._keys("note", topic, part)


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [text for pair in fields.items() for text in pair]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

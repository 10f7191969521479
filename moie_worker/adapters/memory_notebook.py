"""The notebook in memory: what it promises, in the fewest words, for tests and for running without Redis."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from moie_worker.adapters.items import checked
from moie_worker.ports import REMEMBERED, Clock, Item


class MemoryNotebook:
    """One plan's notebook in one process. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._seen: dict[str, dict[str, int]] = {}
        self._streams: dict[str, list[tuple[datetime, Mapping[str, str]]]] = {}
        self._turns: dict[str, datetime] = {}
        self._locks: dict[str, tuple[object, datetime]] = {}

    def publish_new(self, topic: str, items: Sequence[Item], keep: int, remember: int = REMEMBERED) -> list[Item]:
        """Remember the items and append the new ones to the stream of at most `keep` entries, in one atomic step."""
        fresh = []
        with self._guard:
            stream, seen = self._streams.setdefault(topic, []), self._seen.setdefault(topic, {})
            for item in checked(items):
                before = seen.pop(item.key, None)  # and behind all others again: in the order of their last sight
                if before is not None and item.version <= before:
                    seen[item.key] = before
                    continue
                seen[item.key] = item.version
                noted = {"version": str(item.version), "before": "" if before is None else str(before)}
                stream.append((_whole_ms(self._clock.now()), {"key": item.key, **noted, **item.fields}))
                fresh.append(replace(item, fields={**item.fields, "before": noted["before"]}))
            del stream[: max(len(stream) - keep, 0)]
            for key in list(seen)[: max(len(seen) - remember, 0)]:
                del seen[key]
        return fresh

    def published(self, topic: str, since: datetime) -> list[tuple[datetime, Mapping[str, str]]]:
        """What the stream holds since a time, oldest first."""
        with self._guard:
            return [entry for entry in self._streams.get(topic, []) if entry[0] >= since]

    def turn(self, topic: str, interval: timedelta) -> timedelta:
        """Take the next turn; returns how long the caller must wait for it."""
        with self._guard:
            now = self._clock.now()
            mine = max(now, self._turns.get(topic, now))
            self._turns[topic] = mine + interval
            return mine - now

    @contextmanager
    def exclusive(self, topic: str, ttl: timedelta) -> Iterator[bool]:
        """Hold a topic alone for at most `ttl`; yields False when somebody else holds it."""
        holder = object()
        if not self._take(topic, holder, ttl):
            yield False
            return
        try:
            yield True
        finally:
            with self._guard:
                if self._locks.get(topic, (None,))[0] is holder:
                    del self._locks[topic]

    def _take(self, topic: str, holder: object, ttl: timedelta) -> bool:
        with self._guard:
            now = self._clock.now()
            if topic in self._locks and self._locks[topic][1] > now:
                return False
            self._locks[topic] = (holder, now + ttl)
            return True


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

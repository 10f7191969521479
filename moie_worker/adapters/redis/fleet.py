"""What all plans share: which plans there are, who works, and the bell that wakes beats."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any, TypeVar

from redis import Redis

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.base import UNFIT
from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.plan.limits import SWEPT_MS
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.times import Ms, to_ms

Kind = TypeVar("Kind")
MISSED_FOR = timedelta(hours=24)  # who is gone for longer was taken away on purpose; hosts with new names come and go
RINGS_HEARD = 100  # plans that one beat looks at after one wait; other beats hear the rest
# Redis 6.2 cuts 0.001 s down to 0 ms, which means to wait for ever.
SHORTEST = timedelta(milliseconds=2)


class RedisFleet:
    """Presence is a key with a time to live: who does not renew it is gone."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._where = address_of(client)
        # A silent connection is taken for a dead one after its time limit; waiting for a ring must end before.
        limit = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._longest = timedelta(seconds=limit / 2) if limit else timedelta.max

    def plans(self) -> list[str]:
        """Names of all plans, in order."""
        with translated(self._where):
            return sorted(str(name) for name in self._client.smembers(keys.PLANS))

    def add_plan(self, plan: str) -> None:
        """Make a plan known to the beats."""
        with translated(self._where):
            self._client.sadd(keys.PLANS, plan)

    def now(self) -> Ms:
        """The time of Redis."""
        with translated(self._where):
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def worker_here(self, worker: Worker, ttl: timedelta) -> None:
        """Say that a worker lives, for at most `ttl`."""
        self._here(keys.WORKERS, keys.worker(worker.name), worker.name, asdict(worker), ttl)

    def beat_here(self, beat: Beat, ttl: timedelta) -> None:
        """Say that a beat lives, for at most `ttl`."""
        self._here(keys.BEATS, keys.beat(beat.name), beat.name, _beat_record(beat), ttl)

    def worker_left(self, name: str) -> None:
        """A worker ends and is not missed."""
        self._left(keys.WORKERS, keys.worker(name), name)

    def beat_left(self, name: str) -> None:
        """A beat ends and is not missed."""
        self._left(keys.BEATS, keys.beat(name), name)

    def workers(self) -> tuple[list[Worker], list[str]]:
        """Living workers, and names of those that went without a word."""
        return self._present(keys.WORKERS, keys.worker, _worker)

    def beats(self) -> tuple[list[Beat], list[str]]:
        """Living beats, and names of those that went without a word."""
        return self._present(keys.BEATS, keys.beat, _beat)

    def ring(self, plan: str) -> None:
        """Wake a beat to look at a plan. Advisory: a beat that hears nothing looks by itself soon."""
        with translated(self._where):
            self._client.zadd(keys.RINGS, {plan: 0})  # a set, so that rings which nobody hears do not pile up

    def listen(self, patience: timedelta) -> frozenset[str]:
        """Wait for a ring; the plans that rang, each told to one listener only.

        Waits shorter than asked for where the client would lose patience.
        """
        wait = max(SHORTEST, min(patience, self._longest))
        with translated(self._where):
            first: Any = self._client.bzpopmin([keys.RINGS], timeout=wait.total_seconds())
            if first is None:
                return frozenset()
            rest: Any = self._client.zpopmin(keys.RINGS, RINGS_HEARD - 1)
        return frozenset([first[1], *(plan for plan, _ in rest)])

    def swept(self) -> None:
        """Say that a beat looked at all plans just now."""
        with translated(self._where):
            self._client.set(keys.SWEPT, "1", px=SWEPT_MS)

    def was_swept(self) -> bool:
        """Whether any beat looked at all plans within the last two seconds."""
        with translated(self._where):
            return bool(self._client.exists(keys.SWEPT))

    def _here(self, index: str, key: str, name: str, record: dict[str, Any], ttl: timedelta) -> None:
        now = self.now()
        with translated(self._where), self._client.pipeline(transaction=True) as pipe:
            pipe.set(key, json.dumps(record), px=to_ms(ttl))
            pipe.zadd(index, {name: now})
            pipe.zremrangebyscore(index, "-inf", now - to_ms(MISSED_FOR))
            pipe.execute()

    def _left(self, index: str, key: str, name: str) -> None:
        # A signal may have ended this process between a command and its answer, which would be taken for the answer to
        # what is asked here; redis-py notices only what has arrived already. So nothing is said on an old connection.
        self._client.connection_pool.disconnect(inuse_connections=False)
        # No transaction: a full Redis refuses to queue anything, and takes what removes.
        with translated(self._where), self._client.pipeline(transaction=False) as pipe:
            pipe.delete(key)
            pipe.zrem(index, name)
            pipe.execute()

    def _present(
        self, index: str, key_of: Callable[[str], str], read: Callable[[dict[str, Any]], Kind]
    ) -> tuple[list[Kind], list[str]]:
        """Who is there and who is missing. Who says what cannot be read is neither: it says it anew soon."""
        with translated(self._where):
            since = self.now() - to_ms(MISSED_FOR)  # reading removes nobody: who may only look can ask too
            names = sorted(str(name) for name in self._client.zrangebyscore(index, f"({since}", "+inf"))
            texts: Sequence[Any] = self._client.mget([key_of(name) for name in names]) if names else []
        pairs = list(zip(names, texts, strict=True))
        present: list[Kind] = []
        for _, text in pairs:
            with suppress(*UNFIT):
                present += [read(json.loads(text))] if text else []
        return present, [name for name, text in pairs if not text]


def _worker(record: dict[str, Any]) -> Worker:
    authors = record.get("authors")
    told = {"queues": tuple(record["queues"]), "authors": None if authors is None else tuple(authors)}
    return Worker(**_known(Worker, record) | told)


def _beat_record(beat: Beat) -> dict[str, Any]:
    every = None if beat.heartbeat is None else beat.heartbeat.total_seconds()
    told = asdict(beat)
    del told["heartbeat"]
    return told | {"heartbeat_s": every}


def _beat(record: dict[str, Any]) -> Beat:
    every = record.get("heartbeat_s")
    heartbeat = None if every is None else timedelta(seconds=every)
    return Beat(**_known(Beat, record) | {"entries": tuple(record["entries"]), "heartbeat": heartbeat})


def _known(kind: type[Worker | Beat], record: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that only a newer release knows: old and new ones see each other while one is rolled out."""
    return {field.name: record[field.name] for field in fields(kind) if field.name in record}

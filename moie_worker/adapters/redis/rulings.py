"""What is kept of policies in Redis: whose turn it is, and what was decided."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, cast

from redis import Redis

from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.plan.limits import DECISIONS
from moie_worker.plan.times import to_ms
from moie_worker.ports import Decided, Effect


class RedisRulings:
    """The rulings of one plan. Raises UnreachableError."""

    def __init__(self, client: Redis, plan: str, scripts: Scripts | None = None) -> None:
        self._client = client
        self._keys = Keys(plan)
        self._scripts = scripts or Scripts(client)
        self._where = address_of(client)

    def turn(self, policy: str, job: str, at_most: int, per: timedelta) -> timedelta:
        """Ask for a start under a throttle; no time when the job may start now, else how long it waits."""
        names = [self._keys("throttle", policy, part) for part in ("starts", "asked", "expected")]
        with translated(self._where):
            waits = self._scripts.run("throttle", names, {"who": job, "at_most": at_most, "per_ms": to_ms(per)})
        return timedelta(milliseconds=int(waits))

    def note(self, decisions: Sequence[Decided]) -> None:
        """Keep them, the last of a plan."""
        packed = [json.dumps({name: value for name, value in asdict(one).items() if name != "at"}) for one in decisions]
        with translated(self._where):
            self._scripts.run("decided", [self._keys("decisions")], [DECISIONS, *packed])

    def decisions(self, number: int) -> list[Decided]:
        """The newest first, at most so many."""
        with translated(self._where):
            found = cast(list[Any], self._client.lrange(self._keys("decisions"), 0, number - 1))
        return [_decided(json.loads(packed)) for packed in found]


def _decided(raw: dict[str, Any]) -> Decided:
    return Decided(**raw | {"effect": Effect(raw["effect"])})

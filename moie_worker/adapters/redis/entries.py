"""The ordinary entries of a beat schedule: when each is due, kept where every beat can see it."""

from collections.abc import Iterable, Mapping

from redis import Redis

from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import ENTRIES
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.plan.times import Ms


class RedisEntries:
    """Texts by name; every change is a compare-and-set, so any number of beats may try."""

    def __init__(self, client: Redis, app: str) -> None:
        self._client = client
        self._key = f"{ENTRIES}:{app}"
        self._scripts = Scripts(client)
        self._where = address_of(client)

    def peek(self, names: Iterable[str]) -> tuple[Ms, Mapping[str, str]]:
        """Redis' time and what is kept of some entries."""
        wanted = list(names)
        with translated(self._where):
            now, *texts = self._scripts.run("entry_peek", [self._key], wanted)
        return int(now), {name: str(text) for name, text in zip(wanted, texts, strict=True) if text}

    def fire(
        self, name: str, expected: str, following: str, queue_key: str, message: str, *, supersedes: str = ""
    ) -> bool:
        """Advance and push the message in one step; False when another beat was faster.

        `supersedes` names the entry whose message before this one is replaced, where it still is the newest there.
        """
        args = {
            "name": name, "expected": expected, "next": following, "message": message, "supersedes": supersedes,
        }  # fmt: skip
        with translated(self._where):
            return bool(self._scripts.run("entry_fire", [self._key, queue_key], args))

    def advance(self, name: str, expected: str, following: str) -> bool:
        """Advance alone; `expected` is empty for an entry that is not there. False when another beat was faster."""
        with translated(self._where):
            return bool(self._scripts.run("entry_advance", [self._key], [name, expected, following]))

    def names(self) -> list[str]:
        """All entries that are kept."""
        with translated(self._where):
            return sorted(str(name) for name in self._client.hkeys(self._key))

    def drop(self, names: Iterable[str]) -> None:
        """Forget entries that no living beat declares."""
        gone = list(names)
        if gone:
            with translated(self._where):
                self._client.hdel(self._key, *gone)

"""A Redis of its own for every measurement, the one that `moie up` starts."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from moie_worker.adapters import embedded
from moie_worker.adapters.home import Home
from moie_worker.addresses import celery_url


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it answers and which process it is."""

    url: str  # for redis-py and MOIE_REDIS_URL
    celery_url: str
    pid: int
    client: redis.Redis

    def commands(self) -> Counter[str]:
        """Calls of every command since the server started, those inside scripts too."""
        stats = self.client.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): entry["calls"] for name, entry in stats.items()})


@contextmanager
def running() -> Iterator[Server]:
    """Start a server on an empty folder; end it and remove the folder."""
    with tempfile.TemporaryDirectory(prefix="moie-bench-") as folder, embedded.running(Home(Path(folder))) as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        yield Server(url, celery_url(url), client.info("server")["process_id"], client)

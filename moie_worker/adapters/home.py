"""The data directory (`MOIE_HOME`): where its files are, its secrets, and who runs on it."""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from moie_worker.adapters.files import write_private
from moie_worker.adapters.leftovers import end_leftovers
from moie_worker.adapters.processes import identity, wait_until
from moie_worker.errors import InputError, RefusedError
from moie_worker.settings import EMBEDDED_URL_FILE

LOCK_PATIENCE_S = 0.5  # a look at the lock (`holder`) takes it for a moment


@dataclass(frozen=True, slots=True)
class Holder:
    """The `moie up` that runs on a home."""

    pid: int
    identity: str
    since: str  # ISO 8601, UTC

    def alive(self) -> bool:
        """False when the number belongs to nobody or to somebody else."""
        return identity(self.pid) == self.identity


@dataclass(frozen=True, slots=True)
class Home:
    """One data directory."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the `moie up` that runs here."""
        return self.root / "moie.lock"

    @property
    def parts(self) -> Path:
        """What that `moie up` started."""
        return self.root / "parts.json"

    @property
    def redis_data(self) -> Path:
        """The data of the embedded Redis."""
        return self.root / "redis"

    @property
    def redis_lock(self) -> Path:
        """Held by the embedded Redis itself, which may outlive its `moie up`."""
        return self.root / "redis.lock"

    @property
    def redis_url(self) -> Path:
        """Where the embedded Redis answers; absent when it was stopped in order."""
        return self.root / EMBEDDED_URL_FILE

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    def prepare(self) -> None:
        """Make the directories. Raises InputError when the home cannot be used."""
        try:
            for directory in (self.root, self.redis_data, self.logs):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, "cannot be read and written", str(directory))
        except OSError as error:
            raise InputError(
                f"MOIE_HOME: {error.filename or self.root}: {error.strerror}. Use a directory that you can write to."
            ) from None

    def secret(self, name: str) -> str:
        """A random password that stays the same, made at the first call. Call it while holding the home."""
        path = self.root / f"{name}.secret"
        with contextlib.suppress(FileNotFoundError):
            if kept := path.read_text().strip():
                return kept
        made = secrets.token_urlsafe(32)
        write_private(path, made)
        return made


@contextlib.contextmanager
def hold(home: Home, now: datetime) -> Iterator[None]:
    """Be the only `moie up` on this home. Raises RefusedError when there is one.

    Ends what a killed one left behind; its Redis is left to `embedded.prepare`, which lets it end in order.
    """
    home.prepare()
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not wait_until(lambda: _try_lock(descriptor), LOCK_PATIENCE_S):
            raise RefusedError(_already(home))
        me = Holder(os.getpid(), identity(os.getpid()) or "", now.isoformat(timespec="seconds"))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(me)).encode(), 0)
        end_leftovers(home.parts)
        yield
    finally:
        os.close(descriptor)


def holder(home: Home) -> Holder | None:
    """The living `moie up` of this home; None when there is none. What a killed one left is not mistaken for it."""
    end = time.monotonic() + LOCK_PATIENCE_S
    while locked(home.lock):
        found = _read_holder(home)
        if found is not None and found.alive():
            return found
        if time.monotonic() >= end:  # neither free nor signed: a stranger holds the file
            raise RefusedError(f"{home.lock} is held by a process that is no `moie up`; see `fuser {home.lock}`")
        time.sleep(0.02)
    return None


def locked(path: Path) -> bool:
    """Whether somebody holds this lock file now."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(home: Home) -> Holder | None:
    try:
        return Holder(**json.loads(home.lock.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _already(home: Home) -> str:
    found = _read_holder(home)
    who = f"as pid {found.pid} since {found.since}" if found is not None and found.alive() else "and is just starting"
    return f"moie already runs on {home.root} {who}: see `moie status`; stop it with `moie down`"

"""Files that are never half written."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, data: str | bytes) -> None:
    """Replace a file as a whole; readable by its owner only. What was there stays when it cannot be written."""
    _stage(path.with_name(f".{path.name}.new"), data).replace(path)
    _sync(path.parent)


def create_private(path: Path, text: str) -> None:
    """Make a file that was not there, readable by its owner only. Raises FileExistsError."""
    # A name of its own: of two processes that try at once, one must not be given what the other has half written.
    new = _stage(path.with_name(f".{path.name}.{secrets.token_hex(4)}.new"), text)
    try:
        path.hardlink_to(new)
    finally:
        new.unlink()


def _stage(new: Path, data: str | bytes) -> Path:
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return new


def _sync(directory: Path) -> None:
    """So that a new name survives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that are never half written."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; readable by its owner only."""
    _stage(path, text).replace(path)


def create_private(path: Path, text: str) -> None:
    """Make a file that was not there, readable by its owner only. Raises FileExistsError."""
    new = _stage(path, text)
    try:
        path.hardlink_to(new)
    finally:
        new.unlink()


def _stage(path: Path, text: str) -> Path:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return new

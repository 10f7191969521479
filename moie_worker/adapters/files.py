"""Files that are never half written."""

import errno
import os
import secrets
from pathlib import Path

# What vfat, SMB and FUSE say of a second name for a file, and of making sure of a directory.
NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
NO_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


def write_private(path: Path, data: str | bytes) -> None:
    """Replace a file as a whole; readable by its owner only. What was there stays when it cannot be written."""
    _stage(path.with_name(f".{path.name}.new"), data).replace(path)
    _sync(path.parent)


def create_private(path: Path, text: str) -> None:
    """Make a file that was not there, readable by its owner only. Raises FileExistsError."""
    # A name of its own: of two processes that try at once, one must not be given what the other has half written.
    new = _stage(path.with_name(f".{path.name}.{secrets.token_hex(4)}.new"), text)
    try:
        publish(new, path)
    finally:
        new.unlink(missing_ok=True)


def publish(new: Path, path: Path) -> None:
    """Give a file that is whole its name, which a power cut does not take again. Raises FileExistsError.

    Where files can have one name only, the name is taken by an empty file for a moment.
    """
    try:
        path.hardlink_to(new)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        path.touch(mode=0o600, exist_ok=False)
        new.replace(path)
    _sync(path.parent)


def _stage(new: Path, data: str | bytes) -> Path:
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(new)  # a full disk does not say whose
        new.unlink(missing_ok=True)
        raise
    return new


def _sync(directory: Path) -> None:
    """So that a new name survives a power cut, where the file system can promise that."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)

"""A disk that can be full, read-only, or fail when it is asked to make sure. Needs root, and a C compiler."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int file) {
  int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
  if (access(getenv("FSYNC_FAILS_FILE"), F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  return real(file);
}
"""


class Disk:
    """A file system of one megabyte, with processes that write to it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "disk"
        self.path.mkdir()
        self._library, self._fails = directory / "fsync.so", directory / "fsync-fails"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library), "-ldl"]
        subprocess.run(command, input=SOURCE.encode(), check=True)
        _run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "moie-test", str(self.path))

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of processes for which `fsync` can be made to fail."""
        return {"LD_PRELOAD": str(self._library), "FSYNC_FAILS_FILE": str(self._fails)}

    @contextmanager
    def full(self) -> Iterator[None]:
        filler = self.path / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass
        yield
        filler.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        self._remount("ro")
        yield
        self._remount("rw")

    @contextmanager
    def failing(self) -> Iterator[None]:
        """`fsync` answers EIO to who has the environment of this disk."""
        self._fails.touch()
        yield
        self._fails.unlink()

    def close(self) -> None:
        self._fails.unlink(missing_ok=True)
        _patiently(lambda: _run("umount", str(self.path)))

    def _remount(self, how: str) -> None:
        _patiently(lambda: _run("mount", "-o", f"remount,{how}", str(self.path)))


Trouble = Callable[[Disk], AbstractContextManager[None]]


def _patiently(act: Callable[[], None]) -> None:
    """A file that is open for a moment makes a file system busy."""
    until = time.monotonic() + 10
    while True:
        try:
            return act()
        except subprocess.CalledProcessError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)

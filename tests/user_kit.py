"""What it takes to run something as a user who is not root, with the user namespaces that the kernel gives it.

Run by root the processes are those of a user without a name, a home or a right; else they are the tester's own.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from moie_worker.adapters.privileges import Capability, capable
from tests.celery_kit import ROOT

ROOT_RUNS = capable(Capability.SYS_ADMIN)
UID, GID = (12345, 12346) if ROOT_RUNS else (os.getuid(), os.getgid())
IDENTITY = [f"--reuid={UID}", f"--regid={GID}", "--clear-groups"]
NO_COVERAGE = ["env", *(f"--unset=COVERAGE_{name}" for name in ("FILE", "PROCESS_CONFIG", "PROCESS_START", "RUN"))]

# Becomes the user in a user namespace where nobody may make another one, as the kernel itself then says.
FORBIDDING = f"""
import ctypes, os, sys
ready, done = os.pipe(), os.getpid()
if os.fork() == 0:
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        open(f"/proc/{{done}}/{{name}}", "w").write("0 0 65536")
    os._exit(0)
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(ready[1], b"x")
os.wait()
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.setgroups([])
os.setresgid({GID}, {GID}, {GID})
os.setresuid({UID}, {UID}, {UID})
os.execvp(sys.argv[1], sys.argv[1:])
"""


def as_other(*, cover_proc: bool = False, forbid: bool = False, rights: Sequence[str] = ()) -> list[str]:
    """What to put before a command that is to run as the user. Root may cover a part of /proc, as containers do, forbid
    user namespaces, or leave it some rights.
    """
    if not ROOT_RUNS:
        return []
    kept = ",".join(f"+{right}" for right in rights)
    lent = [f"--inh-caps={kept}", f"--ambient-caps={kept}"] if rights else []
    become = [sys.executable, "-c", FORBIDDING] if forbid else ["setpriv", *IDENTITY, *lent]
    covered = "mount -t tmpfs none /proc/sys" if cover_proc else ":"
    script = f'set -e; {_open_the_way()}; {covered}; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *NO_COVERAGE, *become]


def _open_the_way() -> str:
    """Shell commands that let everybody reach this interpreter and these sources: they may be in the home of root."""
    needed = {Path(name).resolve() for name in (sys.base_prefix, sys.prefix, ROOT)}
    closed = {path: parent for path in needed for parent in [_closed(path)] if parent}
    held = [f"exec {number}<{shlex.quote(str(path))}" for number, path in enumerate(closed, 3)]
    hidden = [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(parent))}" for parent in set(closed.values())]
    shown = []
    for number, path in enumerate(closed, 3):
        place = shlex.quote(str(path))
        shown += [f"mkdir -p {place}", f"mount -c --bind /proc/self/fd/{number} {place}", f"exec {number}<&-"]
    return "; ".join([*held, *hidden, *shown]) or ":"


def _closed(path: Path) -> Path | None:
    """The outermost directory on the way that others cannot pass."""
    return next((parent for parent in reversed([path, *path.parents]) if not parent.stat().st_mode & 1), None)


def can_be_had() -> bool:
    """Whether the user can have namespaces here: tried with another program than ours."""
    if not all(shutil.which(program) for program in ("unshare", "setpriv")):
        return False
    trial = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "true"]
    return subprocess.run([*as_other(), *trial], capture_output=True, check=False).returncode == 0


@contextmanager
def place_of_other() -> Iterator[Path]:
    """A directory of the user, which others may look at."""
    with tempfile.TemporaryDirectory(prefix="moie") as directory:
        give(Path(directory))
        yield Path(directory)


def give(path: Path) -> None:
    """Let it be the user's."""
    os.chown(path, UID, GID)
    path.chmod(0o755)

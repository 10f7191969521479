"""Processes of a measurement: started with a log file each, ended gracefully, their memory and CPU read from /proc."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = os.cpu_count() or 1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
GRACE_S = 20.0


@contextmanager
def process(log: Path, env: Mapping[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run this Python with these arguments in the project's folder until the block ends."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **env}, stdout=output, stderr=output
        )
        try:
            yield child
        finally:
            if child.poll():  # it ended by itself, and not well: say why before the folder with the log goes
                print(f"{log.stem} ended with {child.returncode}:", log.read_text()[-2000:], sep="\n", file=sys.stderr)
            child.terminate()
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def until(what: str, holds: Callable[[], bool], patience_s: float = 120.0, every_s: float = 0.01) -> None:
    """Look until it holds. Raises TimeoutError naming what did not come."""
    end = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {patience_s:g} s")
        time.sleep(every_s)


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds that a family has used, its dead children among them."""
    total = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / TICKS_PER_S


def children_cpu_s() -> float:
    """CPU seconds of all children of this process that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory_mb(pid: int, kind: str) -> float:
    """Memory of a family: `Pss` counts what its members share once, `Rss` for each of them."""
    total = 0
    for member in family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith(f"{kind}:")), 0)
    return total / 1024

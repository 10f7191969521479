"""What a stretch of work used: wall time, processor time, memory."""

import resource
import sys
import time
from pathlib import Path

from moie_worker.plan.letters import Measured

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_STATM = Path("/proc/self/statm")


class ThreadMeter:
    """Implements `Meter` for the thread that makes it.

    Processor time is that of the thread and of the child processes that ended meanwhile. Memory is the peak of the
    process where it grew during the work, else the larger of what was resident before and after: the kernel keeps one
    peak for the life of a process, and setting it back would mislead whoever recycles processes by it.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._cpu = _cpu_s()
        self._resident = _resident()
        self._peak = _peak()

    def __call__(self) -> Measured:
        """See `Meter`."""
        peak = _peak()
        memory = peak if peak > self._peak else max(self._resident, _resident())
        return Measured(time.monotonic() - self._started, max(_cpu_s() - self._cpu, 0.0), memory)


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time() + children.ru_utime + children.ru_stime


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT


def _resident() -> int:
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return _peak()

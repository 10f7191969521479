"""What a `moie up` that was killed left behind: written down while it runs, ended by the next one.

On Linux the parts die with their parent, so that this finds nothing; elsewhere it is all there is.
"""

import json
import signal
from dataclasses import dataclass, field
from pathlib import Path

from moie_worker.adapters.files import write_private
from moie_worker.adapters.processes import identity, kill_group, wait_until

PATIENCE_S = 5.0


@dataclass(slots=True)
class Record:
    """The running parts, in a file."""

    path: Path
    running: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, name: str, pid: int) -> None:
        """Remember a part that was started."""
        self.running[name] = (pid, identity(pid) or "")
        self._write()

    def remove(self, name: str) -> None:
        """Forget a part that has ended, with its group."""
        if self.running.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        write_private(self.path, json.dumps(self.running))


def end_leftovers(path: Path) -> list[str]:
    """Kill the groups of recorded parts that still live; returns their names.

    Killed, not asked: without their Redis they could finish nothing, and what they did is offered again.
    """
    living = {name: pid for name, (pid, known) in _read(path).items() if known and identity(pid) == known}
    for pid in living.values():
        kill_group(pid, signal.SIGKILL)
    wait_until(lambda: all(identity(pid) is None for pid in living.values()), PATIENCE_S)
    path.unlink(missing_ok=True)
    return list(living)


def _read(path: Path) -> dict[str, tuple[int, str]]:
    try:
        found = json.loads(path.read_bytes())
        return {str(name): (int(pid), str(known)) for name, (pid, known) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none, or cut off by a full disk

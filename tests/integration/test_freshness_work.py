"""A worker does not take a file from before the job for its result."""

import os
from pathlib import Path
from typing import Any

import pytest

from moie_worker.plan.states import Place
from tests.farm import Farm, wait_until

pytestmark = pytest.mark.integration


def old(path: Path) -> str:
    """A file of an hour ago."""
    path.write_text("an older result\n")
    hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (hour_ago, hour_ago))
    return str(path)


def test_an_old_file_is_made_anew_or_waited_for(farm: Farm) -> None:
    made, awaited, taken = (old(farm.directory / name) for name in ("made", "awaited", "taken"))
    farm.worker()
    farm.beat()
    jobs: list[dict[str, Any]] = [
        {"id": "made", "verification_cmd": f"test -s {made}", "evidence": {"files": [made]},
         "action": {"use": "shell", "with": {"cmd": f"echo a newer result > {made}"}}},
        {"id": "awaited", "verification_cmd": f"test -s {awaited}", "evidence": {"files": [awaited]}},
        {"id": "taken", "verification_cmd": f"test -s {taken}"},
    ]  # fmt: skip
    farm.load(*[{"task": "make a result"} | job for job in jobs])
    wait_until(lambda: farm.place("made") == Place.COMPLETED, "its action made it")
    assert Path(made).read_text() == "a newer result\n"
    wait_until(lambda: farm.place("taken") == Place.COMPLETED, "nobody asked how old it is")
    wait_until(lambda: farm.place("awaited") == Place.WAITING, "its file is old")
    assert f"the evidence {awaited} is old: written " in farm.store.job("awaited").evidence["message"]
    Path(awaited).touch()
    wait_until(lambda: farm.place("awaited") == Place.COMPLETED, "somebody wrote it")

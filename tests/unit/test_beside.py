"""What runs beside the tests writes nothing behind their end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.beside import unmeasured


def test_what_is_started_unmeasured_writes_down_nothing_of_what_it_covered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules"
    rules.write_text(f"[run]\nparallel = true\ndata_file = {tmp_path}/covered\n")
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE"):  # of a session that is measured itself
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COVERAGE_PROCESS_START", str(rules))
    work = [sys.executable, "-c", "import coverage; coverage.process_startup()"]
    with unmeasured():
        subprocess.run(work, check=True)
    assert list(tmp_path.glob("covered*")) == []
    assert os.environ["COVERAGE_PROCESS_START"] == str(rules)
    subprocess.run(work, check=True)
    assert len(list(tmp_path.glob("covered*"))) == 1, "others are measured as before"

"""The slots of a pool, shared by forked processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery.utils import sysinfo

from moie_worker.doors.presence import slots_of
from tests.celery_kit import ROOT


def what_the_second_gets(scene: str) -> str:
    """What comes of a wait for the slot that another process has."""
    command = [sys.executable, "-m", "tests.slots_scene", scene]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_who_finds_no_slot_in_time_is_told_so() -> None:
    assert what_the_second_gets("in vain") == "mine: False"


def test_waiting_ends_when_it_is_hopeless() -> None:
    assert what_the_second_gets("hopeless") == "mine: False"


def test_a_slot_that_is_given_back_is_taken_without_another_look() -> None:
    assert what_the_second_gets("given back") == "mine: True, soon: True"


def test_the_slot_of_a_process_that_dies_is_free() -> None:
    assert what_the_second_gets("died") == "mine: True"


def test_a_worker_without_processes_says_what_it_needs_and_ends(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MOIE_HOME": str(tmp_path), "MOIE_REDIS_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "-m", "celery", "-A", "moie_worker", "worker", "-P", "threads"]
    told = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 2
    assert "celery.concurrency.thread" in told.stderr
    assert "--pool prefork" in told.stderr


@pytest.mark.parametrize(("concurrency", "slots"), [(1, 1), (2, 1), (8, 7), ("auto", 2), (" AUTO ", 2)])
def test_one_process_of_several_is_kept_however_their_number_is_said(
    monkeypatch: pytest.MonkeyPatch, concurrency: int | str, slots: int
) -> None:
    monkeypatch.setattr(sysinfo, "available_cpu_count", lambda: 8)
    monkeypatch.setattr(sysinfo, "cgroup_cpu_quota", lambda: 2.5)  # of a container: three processes
    assert slots_of(concurrency) == slots

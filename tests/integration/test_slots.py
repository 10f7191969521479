"""The slots of a pool, shared by forked processes."""

import subprocess
import sys


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

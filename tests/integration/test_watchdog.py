"""A process in which nothing can run any more, for an action holds the interpreter."""

import subprocess
import sys

from tests.farm import Farm, wait_until
from tests.web_kit import Answer, ScriptedServer

ARMED = """
import re, sys, time
from datetime import timedelta
from moie_worker.adapters.watchdog import ProcessWatchdog
dog = ProcessWatchdog()
dog.expect(timedelta(seconds=0.3))
"""
ENDLESS = "(a+)+$"  # years, and no other thread runs meanwhile
FOR_IT = "a" * 60 + "!"


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", ARMED + code], capture_output=True, text=True, timeout=30)


def test_a_process_that_an_endless_search_holds_ends_and_says_where_it_stood() -> None:
    ended = run(f"re.search({ENDLESS!r}, {FOR_IT!r})")
    assert ended.returncode == 1
    assert "in search" in ended.stderr


def test_a_process_that_goes_on_is_left_alone() -> None:
    ended = run("for _ in range(5): time.sleep(0.1); dog.expect(timedelta(seconds=5))\ndog.rest()")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_process_that_rests_is_not_ended() -> None:
    assert run("dog.rest(); time.sleep(0.6)").returncode == 0


def test_an_endless_search_in_an_action_costs_its_process_and_no_slot_for_ever(farm: Farm) -> None:
    farm.settings |= {"MOIE_LEASE": "2s", "MOIE_RENEW": "500ms"}
    with ScriptedServer(lambda asked: Answer(body=FOR_IT.encode())) as web:
        farm.worker(concurrency=2)
        farm.beat()
        farm.ready("w1")
        expect = {"url": web.url, "expect": {"regex": ENDLESS}}
        farm.load(
            {"id": "held", "task": "look", "verification_cmd": "false", "action": {"use": "http", "with": expect}}
        )
        wait_until(lambda: "in search" in farm.log("w1"), "the process ended and said where it stood")
        farm.load({"id": "b", "task": "go on", "verification_cmd": "true"})
        wait_until(lambda: farm.place("b") == "completed", "its slot is there again")

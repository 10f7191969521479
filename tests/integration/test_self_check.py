"""`moie up` with the self-check: it ends verified, it watches, and a scan that reaches nothing harms nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.celery_kit import ROOT, wait_until

pytestmark = pytest.mark.integration

SCAN = "5.8"
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Runs `moie … --json` beside a running self-check, whose arXiv is an address where nobody answers."""
    own = {"MOIE_HOME": str(tmp_path_factory.mktemp("home")), "MOIE_ARXIV_URL": "http://127.0.0.1:9/api/query"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("MOIE_")} | own

    def run(*words: str, ok: tuple[int, ...] = (0,)) -> str:
        command = [sys.executable, "-m", "moie_worker", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in ok, done.stdout + done.stderr
        return done.stdout

    try:
        run("up", "--detach", "--plan", str(ROOT / "examples" / "self_check.yaml"), "--heartbeat", "5s")
        yield lambda *words, ok=(0,): json.loads(run(*words, "--json", ok=ok))
    finally:
        run("down", ok=(0, 1))


def test_the_self_check_ends_verified_within_a_minute(ask: Ask) -> None:
    wait_until(lambda: ask("status")["sovereign"], "the self-check is sovereign", 60)
    evidence = {job["id"]: job["outcome"] for job in ask("jobs") if not job["cyclic"]}
    assert set(evidence.values()) == {"passed"}


def test_what_watches_is_healthy_and_the_scan_alone_is_not(ask: Ask) -> None:
    def jobs() -> dict[str, str]:
        return {job["id"]: job["status"] for job in ask("health", ok=(0, 1, 2))["jobs"]}

    wait_until(lambda: "unknown" not in jobs().values(), "every cyclic job has run", 60)
    assert {job for job, health in jobs().items() if health != "healthy"} == {SCAN}


def test_the_scan_is_a_dead_letter_with_its_reason(ask: Ask) -> None:
    (letter,) = ask("dead", "list")
    assert letter["job"] == SCAN
    assert letter["attempts"] == 4
    assert "http://127.0.0.1:9" in letter["reason"]

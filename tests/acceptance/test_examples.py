"""The examples are good plans, and no check of the self-check says yes where nothing runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moie_worker.doors.cli.files import read_document
from moie_worker.plan.model import Job, Plan

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLANS = sorted(EXAMPLES.glob("*.yaml"))
COULD_NOT_RUN = (126, 127)
SLOT = "2020-02-02T02:02:02.000+00:00"  # long ago


def plan(name: str) -> Plan:
    return read_document(str(EXAMPLES / f"{name}.yaml")).plan


def checks() -> list[Job]:
    """One job for each command and environment of the self-check, the first."""
    jobs = [job for _, job in plan("self_check").jobs() if job.verification_cmd is not None]
    return list({(str(job.verification_cmd), str(job.env)): job for job in reversed(jobs)}.values())


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_an_example_is_a_good_plan(path: Path) -> None:
    assert read_document(str(path)).report.warnings == ()


def test_hello_is_ten_lines() -> None:
    assert len((EXAMPLES / "hello.yaml").read_text().splitlines()) == 10


def answer(job: Job, home: Path, **given: str) -> int:
    """The exit code of a check in an environment like a worker's: no Flower, a due time long ago."""
    path = f"{os.environ['PATH']}:{Path(sys.executable).parent}"
    env = {"PATH": path, "MOIE_HOME": str(home), "MOIE_SLOT": SLOT, **given, **job.env}
    command = ["sh", "-c", str(job.verification_cmd)]
    done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode not in COULD_NOT_RUN, done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize("job", checks(), ids=lambda job: job.id)
def test_where_nothing_runs_every_check_says_no(job: Job, tmp_path: Path) -> None:
    assert answer(job, tmp_path / "nothing") != 0


@pytest.mark.integration  # a ping leaves keys of the broker behind
@pytest.mark.parametrize("job", checks(), ids=lambda job: job.id)
def test_with_a_forgetful_redis_and_nobody_at_work_few_checks_say_yes(job: Job, tmp_path: Path, redis_url: str) -> None:
    yes = {"1.1", "2.1", "2.2"}  # Redis answers, the disk has room, the clocks agree
    assert (answer(job, tmp_path, MOIE_REDIS_URL=redis_url) == 0) is (job.id in yes)


def test_the_self_check_hands_on_what_its_commands_need() -> None:
    for job in checks():
        asks = re.search(r"moie (status|doctor)|celery -A", str(job.verification_cmd))
        assert not asks or {"MOIE_HOME", "MOIE_REDIS_URL", "MOIE_BROKER_URL", "MOIE_PLAN"} <= set(job.pass_env)


def test_the_self_check_ends_in_watching() -> None:
    last = plan("self_check").phases[-1]
    assert all(job.cyclic for job in last.jobs)
    assert "arxiv_scan" in [job.action.use for job in last.jobs if job.action]


def test_the_application_is_an_ordinary_one_with_three_periodic_tasks() -> None:
    """Imported in a process of its own: an application is there for good."""
    program = (
        "from shop import app; print(len(app.conf.beat_schedule), app.conf.beat_scheduler, app.moie_watcher.app.main)"
    )
    env = {**os.environ, "CELERY_BROKER_URL": "redis://localhost:1/0"}
    command, folder = [sys.executable, "-c", program], EXAMPLES / "celery_app"
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["3", "plan", "shop"], done.stderr

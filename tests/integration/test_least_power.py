"""The users that `moie acl` writes: each can do its work, all of it, and is refused nothing on the way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from moie_worker.adapters.processes import free_port
from moie_worker.adapters.redis.acl import Account
from moie_worker.plan.limits import BREAKER_LEAST
from moie_worker.plan.states import Place
from tests.acl_kit import Users, users_of
from tests.farm import Farm, farm_in, wait_until

pytestmark = pytest.mark.integration

BROKEN = [
    {"id": f"broken{n}", "task": "t", "verification_cmd": "no-such-command", "retry": {"max": 0}, "queue": "scan"}
    for n in range(BREAKER_LEAST + 2)
]
PLAN: dict[str, Any] = {
    "version": 3,
    "phases": [
        {
            "id": 1,
            "name": "ONE",
            "jobs": [
                {"id": "good", "task": "t", "verification_cmd": "true"},
                {"id": "acts", "task": "t", "verification_cmd": "test -e done",
                 "action": {"use": "shell", "with": {"cmd": "touch done"}}},
                {"id": "cycle", "task": "t", "verification_cmd": "true", "status": "cyclic",
                 "schedule": {"every": "1s"}, "start": "at_load"},
            ],
        },
        {"id": 2, "name": "TWO", "approval": "required", "jobs": BROKEN},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def office() -> Iterator[Users]:
    """A worker, a beat and a Flower, and people who loaded, approved, and saw a queue stop: each as its own user."""
    with farm_in("office") as farm:
        users = users_of(farm)
        users.worker("w1")
        users.beat("b1")
        users.says(Account.CLI, "load", "-", stdin=json.dumps(PLAN).encode())
        wait_until(lambda: farm.place("acts") is Place.COMPLETED, "a job is verified by its action")
        wait_until(lambda: farm.journal("phase.asked"), "a phase asks for approval")
        users.says(Account.CLI, "approve", "2", "--why", "test")
        wait_until(lambda: farm.store.overview().stopped, "a queue in which all fails is stopped")
        wait_until(lambda: snapshots(users), "a snapshot is kept")
        wait_until(lambda: len(farm.journal("job.passed")) > 3, "a cyclic job runs")
        wait_until(lambda: farm.store.last_seal(), "receipts are sealed")
        yield users


def snapshots(users: Users) -> list[str]:
    """Names of those that are kept, the oldest first."""
    return [one["name"] for one in json.loads(users.says(Account.CLI, "backup", "list", "--json"))]


def dead(farm: Farm) -> str:
    return next(str(one["id"]) for one in BROKEN if farm.place(str(one["id"])) is Place.DEAD)


LOOKS = ("status", "health", "jobs", "job good", "journal", "dead list", "dead show job:{dead}", "show", "simulate",
         "export", "doctor", "verify good", "receipts list", "receipts verify", "receipts export", "backup list",
         "rollback --to {snapshot} --dry-run")  # fmt: skip


def test_a_reader_sees_everything(office: Users) -> None:
    names = {"dead": dead(office.farm), "snapshot": snapshots(office)[-1]}
    for line in LOOKS:
        args = line.format(**names).split()
        done, by_cli = (office.moie(account, *args) for account in (Account.READER, Account.CLI))
        assert (done.exit_code, bool(done.stdout)) == (by_cli.exit_code, True), (line, done.output)
        assert "Traceback" not in done.output
    assert office.denied() == set()


ACTS = ("backup create --dry-run", "backup create", "dead replay job:{dead}", "retry {other}", "run cycle",
        "resume --queue scan", "heartbeat",
        "pause", "resume", "reject 2", "approve 2", "rollback --to {snapshot}", "dead discard --all --yes",
        "cancel cycle", "cancel --all", "resume", "backup restore {snapshot}", "load -")  # fmt: skip


def test_who_operates_can_do_everything(office: Users) -> None:
    farm = office.farm
    wait_until(lambda: "scan" in farm.store.overview().stopped, "a queue is stopped")
    names = {"dead": dead(farm), "other": dead(farm), "snapshot": snapshots(office)[-1]}
    for line in ACTS:
        office.says(Account.CLI, *line.format(**names).split(), stdin=json.dumps(PLAN).encode())
    assert office.denied() == set()


def ping(users: Users, account: Account) -> str:
    """What workers answer to this user, as the containers of compose.yaml ask."""
    command = [sys.executable, "-m", "celery", "-A", "moie_worker", "inspect", "ping", "-t", "10", "-d", "w1@test"]
    environment = {**os.environ, **users.farm.settings, **users.env(account)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=users.farm.work, check=False)
    return done.stdout


@pytest.mark.parametrize("account", [Account.BEAT, Account.WORKER, Account.CLI])
def test_who_works_may_ask_who_is_there(office: Users, account: Account) -> None:
    assert "w1@test: OK" in ping(office, account)
    assert office.denied() == set()


def flower_counts(port: int) -> bool:
    """Whether Flower tells of tasks that a worker ended."""
    request = Request(
        f"http://127.0.0.1:{port}/workers?json=1", headers={"Authorization": "Basic bW9pZTphLWxvbmctcGFzc3dvcmQ="}
    )
    try:
        with urlopen(request, timeout=10) as answer:
            rows = json.load(answer)["data"]
    except OSError:
        return False
    return any(row["hostname"] == "w1@test" and row.get("task-succeeded") for row in rows)


def test_flower_hears_of_work(office: Users) -> None:
    port = free_port(0, "127.0.0.1")
    login = {"FLOWER_BASIC_AUTH": "moie:a-long-password", "MOIE_CONTROL": "false"}
    options = ("--address=127.0.0.1", f"--port={port}")
    office.farm.celery("flower", "flower", *options, env=office.env(Account.FLOWER) | login)
    wait_until(lambda: flower_counts(port), "it counts tasks")
    office.farm.stop("flower")
    assert office.denied() == set()


def test_who_comes_after_a_killed_worker_is_refused_nothing(office: Users) -> None:
    farm = office.farm
    farm.kill("w1")
    office.worker("w2")
    beats = farm.store.overview().flags.beats
    wait_until(lambda: farm.store.overview().flags.beats > beats + 1, "another worker goes on")
    farm.stop("w2")
    farm.stop("b1")
    assert office.denied() == set()

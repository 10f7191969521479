"""Whoever can write to Redis cannot have a command executed: real workers, and jobs forged by hand."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from moie_worker.adapters.keys import KeyFolder, KeySigner, Role
from moie_worker.adapters.redis.acl import Account
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.trust import signed
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.letters import LetterFilter
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Worker
from moie_worker.plan.states import Place
from tests.acl_kit import Users, users
from tests.cli_kit import Cli, cli
from tests.farm import Farm, wait_until

__all__ = ["cli", "users"]
pytestmark = pytest.mark.integration

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def ops(farm: Farm) -> KeySigner:
    """An author whom the workers of the farm trust; his private key is not where they could read it."""
    signer = KeyFolder(farm.directory / "ops").make("ops", Role.AUTHOR)
    farm.settings["MOIE_TRUSTED_KEYS"] = signer.public.text
    return signer


def load(farm: Farm, author: KeySigner, *jobs: Mapping[str, Any], plan: str = "test") -> None:
    """Load signed jobs into a paused plan, so that somebody can write into it before it begins."""
    store = RedisStore(farm.server.client, plan)
    model = Plan.model_validate({"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": jobs}]})
    store.pause("test", "")
    store.load(signed(plan, compile_plan(model, 0), (job for _, job in model.jobs()), author), 0, "test", "")
    while store.apply():
        pass
    farm.fleet.add_plan(plan)


def forge(users: Users, job: str, change: Change) -> None:
    """Write another definition of a job, as redis-cli would with the worker's own user."""
    with closing(users.client(Account.WORKER)) as client:
        key = f"moie:{{test}}:defs:{users.farm.store.overview().flags.revision}"
        definition = json.loads(str(client.hget(key, job)))
        change(definition)
        client.hset(key, job, json.dumps(definition))


def a_job(farm: Farm, name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "task": "t", "verification_cmd": farm.sh(name)} | fields


def evil(farm: Farm) -> Change:
    """Other commands in place of what was signed."""

    def change(definition: dict[str, Any]) -> None:
        definition["job"]["verification_cmd"] = farm.sh("evil")
        definition["job"]["action"] = {"use": "shell", "with": {"cmd": farm.sh("evil")}}

    return change


def no_signature(definition: dict[str, Any]) -> None:
    del definition["signature"]


def of_another_job(other: str) -> Change:
    """The whole signed definition of another job under this one's name."""

    def change(definition: dict[str, Any]) -> None:
        definition["id"] = definition["job"]["id"] = other

    return change


def endless(farm: Farm) -> Change:
    """A cyclic job that wants to come again at once, for ever."""

    def change(definition: dict[str, Any]) -> None:
        evil(farm)(definition)
        definition["period_ms"] = 0

    return change


def test_of_what_was_forged_in_redis_nothing_is_executed_and_the_rest_goes_on(
    farm: Farm, users: Users, ops: KeySigner, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    eve = KeyFolder(farm.directory / "eve").make("ops", Role.AUTHOR)
    cyclic = {"status": "cyclic", "schedule": {"every": "1s"}}
    load(farm, ops, *(a_job(farm, f"good{n}") for n in range(3)), *(a_job(farm, f"bad{n}") for n in range(3)),
         a_job(farm, "cycle", **cyclic))  # fmt: skip
    load(farm, eve, a_job(farm, "eve"), plan="hers")
    forge(users, "bad0", evil(farm))
    forge(users, "bad1", no_signature)
    forge(users, "bad2", of_another_job("good0"))
    forge(users, "cycle", endless(farm))
    for plan in ("test", "hers"):
        RedisStore(farm.server.client, plan).resume("test", "")
    farm.celery("w1", "worker", "-n", "w1@test", "-c", "3", "-l", "INFO", env=users.env(Account.WORKER))
    farm.celery("b1", "beat", "--pidfile=", "-l", "INFO", env=users.env(Account.BEAT))
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) == 3, "what was signed is verified")
    wait_until(lambda: len(farm.journal("job.refused")) >= 4, "what was not is refused")
    beats = farm.store.overview().flags.beats
    wait_until(lambda: farm.store.overview().flags.beats >= beats + 3, "heartbeats go on")
    assert sorted(farm.told()) == [["good0"], ["good1"], ["good2"]]
    assert [worker.authors for worker in farm.fleet.workers()[0]] == [(ops.key_id,)]
    assert len(farm.journal("job.refused")) == 4  # each once: never a loop
    assert farm.places() == {Place.COMPLETED: 3, Place.DEAD: 3, Place.TIMED: 1}
    hers = RedisStore(farm.server.client, "hers")
    wait_until(lambda: hers.job("eve").place is Place.DEAD, "the plan of an author whom nobody trusts is refused")
    letters = RedisDeadLetters(farm.server.client, "test").page(LetterFilter()).heads
    assert len(letters) == 4
    assert all(head.reason.startswith("refused: ") and head.deaths == 1 for head in letters)
    assert set(farm.server.client.hgetall("moie:alerts")) == {"refused:test", "refused:hers"}
    monkeypatch.setenv("MOIE_REDIS_URL", farm.server.url)
    assert "REFUSED   plan hers: " in cli.says("status", "--plan", "hers")
    assert cli.json("status", "--plan", "hers")["refused"].startswith("plan hers: refused: ")
    assert "refused: unhealthy - plan hers: refused: " in cli.run("health", "--plan", "hers").stdout
    assert "1 dead: `moie jobs --place dead --plan hers`" in cli.says("status", "--plan", "hers")


def test_a_refused_job_runs_once_its_plan_is_signed_and_its_letter_replayed(farm: Farm, ops: KeySigner) -> None:
    job = a_job(farm, "late")
    farm.load(job)
    farm.worker()
    farm.beat()
    wait_until(lambda: farm.place("late") is Place.DEAD, "it is refused")
    model = Plan.model_validate({"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": [job]}]})
    farm.store.load(signed("test", compile_plan(model, 0), (job for _, job in model.jobs()), ops), 1, "test", "")
    while farm.store.apply():
        pass
    farm.store.replay("late", "test", "")
    farm.fleet.ring("test")
    wait_until(lambda: farm.place("late") is Place.COMPLETED, "it is verified")
    assert farm.told() == [["late"]]


def test_a_worker_that_cannot_tell_whom_it_trusts_does_not_start(farm: Farm) -> None:
    farm.settings["MOIE_TRUSTED_KEYS"] = "moie-author:ops:cut-off"
    assert farm.worker().wait(30) == 2
    assert "MOIE_TRUSTED_KEYS: is no public key" in farm.log("w1")


def test_a_worker_whose_only_author_was_removed_executes_nothing_and_says_why(farm: Farm) -> None:
    keys = KeyFolder(farm.directory / "trusting")
    keys.trust(KeyFolder(farm.directory / "ops").make("ops", Role.AUTHOR).public).unlink()
    farm.settings["MOIE_KEYS"] = str(keys.root)
    farm.load(a_job(farm, "unsigned"))
    farm.worker()
    farm.beat()
    wait_until(lambda: farm.place("unsigned") is Place.DEAD, "it is refused")
    assert farm.told() == []
    assert "no author is trusted here (any more)" in farm.log("w1")


def test_a_worker_that_looks_at_no_signature_says_so(farm: Farm) -> None:
    farm.worker()
    wait_until(lambda: "signatures are NOT checked" in farm.log("w1"), "it says so when it starts")
    wait_until(lambda: farm.fleet.workers()[0], "it says that it is there")
    assert [worker.authors for worker in farm.fleet.workers()[0]] == [None]


# -- the command line ---------------------------------------------------------------------------------

PLAN = json.dumps(
    {"version": 3, "phases": [{"id": 1, "name": "P", "jobs": [{"id": "a", "task": "t", "verification_cmd": "true"}]}]}
).encode()


def test_the_command_line_signs_and_says_what_is_required(cli: Cli) -> None:
    def doctor() -> dict[str, Any]:
        found = json.loads(cli.run("doctor", "--json").stdout)
        return next(one for one in found if one["check"] == "signatures")

    assert "not required" in doctor()["message"]
    public = cli.says("keys", "make", "ops", "--role", "author")
    key = cli.json("keys", "list")[0]["id"]
    loaded = cli.run("load", "-", "--sign-key", "ops", "--json", stdin=PLAN)
    assert json.loads(loaded.stdout)["signed_by"] == key
    assert cli.json("verify")[0]["verdict"] == "pass"
    cli.run("keys", "trust", "-", stdin=public.encode())
    assert doctor() == {"check": "signatures", "status": "ok", "message": doctor()["message"]}
    assert f"ops ({key})" in doctor()["message"]
    assert cli.json("verify")[0]["verdict"] == "pass"
    (KeyFolder(cli.home / "keys").root / "trusted" / "ops.author.pub").unlink()
    assert (doctor()["status"], "nothing is executed" in doctor()["message"]) == ("fault", True)
    assert "no author is trusted" in cli.run("load", "-", stdin=PLAN).stderr
    assert "job a is not signed" in cli.fails(1, "verify")


def test_the_command_line_runs_nothing_that_a_worker_beside_it_would_refuse(cli: Cli) -> None:
    cli.run("keys", "trust", "-", stdin=cli.says("keys", "make", "ops", "--role", "author").encode())
    loaded = cli.run("load", "-", stdin=PLAN)
    assert loaded.exit_code == 0
    assert "workers of this machine refuse it" in loaded.stderr
    assert "job a is not signed" in cli.fails(1, "verify")


def test_who_loads_is_told_of_workers_elsewhere_that_will_refuse_it(cli: Cli, redis_client: "redis.Redis") -> None:
    fleet = RedisFleet(redis_client)
    cli.says("keys", "make", "ops", "--role", "author")
    key = cli.json("keys", "list")[0]["id"]
    there = Worker("w@far", "far", 1, ("default",), 2, 0)
    fleet.worker_here(there, timedelta(minutes=1))
    assert "refuses" not in cli.run("load", "-", stdin=PLAN).stderr
    fleet.worker_here(replace(there, authors=(key,)), timedelta(minutes=1))
    assert "warning: w@far: refuses it" in cli.run("load", "-", stdin=PLAN).stderr
    assert "refuses" not in cli.run("load", "-", "--sign-key", "ops", stdin=PLAN).stderr


def test_loading_signed_and_unsigned_in_turn_is_an_edit_and_the_same_again_is_none(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_again() -> Any:
        return json.loads(cli.run("load", "-", "--json", stdin=PLAN).stdout)

    load_again()
    cli.says("keys", "make", "ops", "--role", "author")
    monkeypatch.setenv("MOIE_SIGN_KEY", "ops")
    first, second = load_again(), load_again()
    assert (first["edited"], first["changed"], second["edited"]) == (["a"], [], [])
    assert second["signed_by"]


def test_a_plan_is_not_loaded_unsigned_when_its_key_is_missing(cli: Cli) -> None:
    done = cli.run("load", "-", "--sign-key", "nobody", stdin=PLAN)
    assert done.exit_code == 1
    assert "moie keys make nobody --role author" in done.stderr
    assert "no plan is loaded" in cli.fails(1, "jobs")

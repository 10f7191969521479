"""Policies on real workers and on the command line: what a file of rules does to a plan."""

import json
from pathlib import Path
from typing import Any

import pytest

from moie_worker.adapters.redis.rulings import RedisRulings
from moie_worker.plan.states import Place
from moie_worker.ports import Decided, Effect
from tests.cli_kit import Cli, cli
from tests.farm import Farm, wait_until

__all__ = ["cli"]
pytestmark = pytest.mark.integration

RULES = """
policies:
  - {name: no-rm, decide: deny, when: {program: rm}, why: nothing is deleted here}
  - {name: slow, decide: throttle, when: {job: "t*"}, at_most: 2, per: 3s}
"""


def test_two_workers_keep_the_rules_together(farm: Farm) -> None:
    file = farm.directory / "policies.yaml"
    file.write_text(RULES)
    farm.settings["MOIE_POLICIES"] = str(file)
    throttled = [f"t{number}" for number in range(5)]
    farm.load(
        *({"id": job, "task": "t", "verification_cmd": farm.sh(job)} for job in throttled),
        {"id": "deletes", "task": "t", "verification_cmd": ["rm", "-f", "x"]},
        {"id": "free", "task": "t", "verification_cmd": farm.sh("free")},
    )
    farm.worker("w1")
    farm.worker("w2")
    farm.beat()
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) == 6, "what may run did, in the end")
    assert farm.place("deletes") is Place.DEAD
    assert sorted(farm.told()) == sorted([["free"], *([job] for job in throttled)])
    decided = RedisRulings(farm.server.client, "test").decisions(1000)
    starts = sorted(one.at for one in decided if one.policy == "slow" and one.effect is Effect.RUNS)
    assert len(starts) == 5
    # A decision is kept a moment after it was made, on a busy machine a long one; tests/contract has the exact times.
    assert all(later - first >= 2000 for first, later in zip(starts, starts[2:], strict=False))
    assert {one.effect for one in decided if one.policy == "no-rm"} == {Effect.REFUSED}
    assert not [one for one in decided if one.job == "free"]


def test_a_worker_with_a_file_that_holds_no_rules_does_not_start(farm: Farm) -> None:
    file = farm.directory / "policies.yaml"
    file.write_text("policies: [{name: a, decide: maybe}]")
    farm.settings["MOIE_POLICIES"] = str(file)
    assert farm.worker().wait(30) == 2
    assert "policies[0].decide: must be 'allow', 'deny'" in farm.log("w1")


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "policies.yaml"
    file.write_text(RULES)
    monkeypatch.setenv("MOIE_POLICIES", str(file))
    return file


@pytest.fixture
def document(tmp_path: Path) -> str:
    jobs: list[dict[str, Any]] = [
        {"id": "deletes", "task": "t", "verification_cmd": ["rm", "x"]},
        {"id": "t1", "task": "t", "verification_cmd": "make report && test -s report"},
        {"id": "free", "task": "t", "verification_cmd": "test -s made"},
    ]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"version": 3, "phases": [{"id": 1, "name": "P", "jobs": jobs}]}))
    return str(path)


@pytest.mark.usefixtures("rules")
def test_what_rules_will_do_is_said_when_a_plan_is_loaded_and_looked_at(cli: Cli, document: str) -> None:
    said = cli.run("load", document)
    assert said.exit_code == 0
    assert "policy: job deletes will be refused (policy no-rm: nothing is deleted here)" in said.stderr
    assert "policy: job t1 will wait for its turn, at most 2 in 3s (policy slow)" in said.stderr
    assert "job free" not in said.stderr
    found = json.loads(cli.run("lint", document, "--json").stdout)
    assert [one["job"] for one in found if one["rule"] == "policy"] == ["deletes"]


@pytest.mark.usefixtures("rules")
def test_rules_are_listed_explained_and_their_decisions_shown(cli: Cli, document: str, redis_client: Any) -> None:
    cli.says("load", document)
    assert [rule["name"] for rule in cli.json("policies", "list")] == ["no-rm", "slow"]
    assert "throttle, at most 2 in 3s" in cli.says("policies", "list")
    explained = cli.json("policies", "explain", "deletes")
    assert explained["ruled"] == {"policy": "no-rm", "decision": "deny", "why": "nothing is deleted here"}
    assert explained["facts"]["programs"] == ["rm"]
    assert cli.json("policies", "explain", "free")["ruled"]["policy"] is None
    assert "no policy fits: allowed" in cli.says("policies", "explain", "free")
    assert cli.json("policies", "decisions") == []
    rulings = RedisRulings(redis_client, "default")
    rulings.note([Decided("t1", "slow", "throttle", Effect.WAITS, "waits 3s for its turn", "w@h"),
                  Decided("free", "rest", "allow", Effect.RUNS, "policy rest", "w@h")])  # fmt: skip
    assert [one["job"] for one in cli.json("policies", "decisions")] == ["free", "t1"]
    (one,) = cli.json("policies", "decisions", "--job", "t1")
    assert (one["effect"], one["worker"]) == ("waits", "w@h")
    assert one["at"].endswith("Z") or "+00:00" in one["at"]
    assert "waits 3s for its turn" in cli.says("policies", "decisions")


def test_without_a_file_there_are_no_policies_and_that_is_said(cli: Cli, document: str) -> None:
    assert "MOIE_POLICIES is not set on this machine" in cli.fails(1, "policies", "list")
    assert "policy" not in cli.run("load", document).stderr


def test_a_file_that_cannot_be_read_is_named(cli: Cli, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_POLICIES", "/no/such/policies.yaml")
    assert "MOIE_POLICIES: /no/such/policies.yaml cannot be read" in cli.fails(2, "load", document)

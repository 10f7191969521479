"""The command line in this process, on a real Redis."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.doors.cli.main import moie
from moie_worker.plan.flow import Settlement
from moie_worker.plan.states import Outcome, Place

PLAN = """
version: 3
meta: {project: A project}
reserved: [{ids: [3, 4], reason: later}]
phases:
  - id: 1
    name: ONE
    jobs:
      - {id: "1.1", task: good, verification_cmd: "true", priority: 2, estimate: 1 h, files: [a.py], risks: [it may]}
      - {id: "1.2", task: bad, verification_cmd: "echo password=sesame; exit 3"}
  - id: 2
    name: TWO
    approval: required
    jobs: [{id: "2.1", task: later, verification_cmd: "true"}]
  - id: 5
    name: FIVE
    jobs: [{id: "5.1", task: watch, status: cyclic, verification_cmd: "true", schedule: {every: 10m}, start: at_load}]
"""


def digest(client: "redis.Redis") -> str:
    """Of every key with its value as Redis serialises it; equal when nothing was changed."""
    options = dict(client.connection_pool.connection_kwargs) | {"decode_responses": False}  # such bytes are no text
    made = hashlib.sha256()
    with redis.Redis(connection_pool=redis.ConnectionPool(client.connection_pool.connection_class, **options)) as raw:
        for key in sorted(raw.scan_iter(count=1000)):
            value = raw.dump(key)
            assert isinstance(value, bytes)
            made.update(key + b"\0" + value)
        raw.connection_pool.disconnect()
    return made.hexdigest()


def settled(
    store: RedisStore, job: str, outcome: Outcome = Outcome.PASSED, place: Place = Place.COMPLETED, **fields: Any
) -> None:
    """Let a due job be attempted by nobody in particular; what else is offered is given back."""
    message = f"it {outcome}"
    evidence = json.dumps({"outcome": outcome, "message": message, "head": "password=sesame\n\tand — so\n"})
    for hint in store.reserve("default", 10, f"t-{job}").hints:
        for attempt in store.begin(hint, f"n-{hint.id}", "w@h", timedelta(seconds=30)):
            if attempt.definition.id == job:
                told = Settlement(attempt.token, job, outcome, place, message=message, evidence=evidence, **fields)
                store.settle([told], hint, done=True)
            else:
                store.release([attempt.token], hint, done=True)


@dataclass(frozen=True)
class Cli:
    """Runs commands as a user does; `fails` and `says` look at the exit code too."""

    home: Path

    def run(self, *args: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(moie, list(args), input=stdin)

    def says(self, *args: str) -> str:
        """Standard output of a command that must end with 0."""
        done = self.run(*args)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self.says(*args, "--json"))

    def fails(self, code: int, *args: str) -> str:
        """Standard error of a command that must end with this exit code."""
        done = self.run(*args)
        assert done.exit_code == code, (done.exit_code, done.output)
        assert "Traceback" not in done.output
        return done.stderr


@pytest.fixture
def cli(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the empty Redis of this test."""
    monkeypatch.setenv("MOIE_REDIS_URL", redis_url)
    monkeypatch.setenv("MOIE_HOME", str(tmp_path / "home"))
    for name in ("MOIE_PLAN", "MOIE_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    return Cli(tmp_path / "home")

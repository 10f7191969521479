"""The command line in this process, on a real Redis."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from moie_worker.doors.cli.main import moie


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

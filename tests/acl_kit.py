"""The users of `moie acl` on the Redis of a farm."""

from dataclasses import dataclass
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from moie_worker.adapters.redis.acl import Account, Broker, grants, hashed
from moie_worker.doors.cli.main import moie
from tests.farm import Farm, wait_until

QUEUES = ("default", "scan")
FORBIDDEN = ("this to the user in its address", "no permissions")  # the state's words, and the broker's


def raw(client: "redis.Redis", *words: object) -> Any:
    """A command as redis-cli sends it."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Users:
    """An address for each user."""

    farm: Farm

    def url(self, account: Account) -> str:
        """The farm's Redis, as this user."""
        scheme, _, rest = self.farm.server.url.partition("://")
        return f"{scheme}://{account}:pw-{account}@{rest.rpartition('@')[2]}"

    def env(self, account: Account) -> dict[str, str]:
        """What a process of this user is told."""
        return {"MOIE_REDIS_URL": self.url(account), "MOIE_PLAN": "test"}

    def client(self, account: Account) -> "redis.Redis":
        """A client of this user; the caller closes it."""
        return redis.Redis.from_url(self.url(account), decode_responses=True)

    def moie(self, account: Account, *args: str, stdin: bytes = b"") -> Result:
        """A command of this user, in this process."""
        return CliRunner().invoke(moie, list(args), input=stdin, env=self.farm.settings | self.env(account))

    def says(self, account: Account, *args: str, stdin: bytes = b"") -> str:
        """Standard output of a command that must end well."""
        done = self.moie(account, *args, stdin=stdin)
        assert done.exit_code == 0, (args, done.output)
        return done.stdout

    def start(self, name: str, account: Account, *args: str) -> None:
        """Start a process of Celery as this user."""
        self.farm.celery(name, *args, env=self.env(account))

    def worker(self, name: str) -> None:
        """Start a worker of all queues, and wait for it."""
        self.start(
            name, Account.WORKER, "worker", "-n", f"{name}@test", "-c", "3", "-Q", ",".join(QUEUES), "-l", "INFO"
        )
        self.farm.ready(name)

    def beat(self, name: str) -> None:
        """Start a beat, and wait for it."""
        self.start(name, Account.BEAT, "beat", "--pidfile=", "-l", "INFO")
        wait_until(lambda: self.farm.fleet.beats()[0], "a beat is there")

    def denied(self) -> set[str]:
        """What Redis refused to whom since it was asked last: `user: reason object`.

        Not counted: redis-py says its own name when it connects, and goes on when it may not.
        """
        log = self.farm.server.client.acl_log(1000)
        self.farm.server.client.acl_log_reset()
        found = {f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in log}
        return {one for one in found if not one.endswith((": command client", ": command client|setinfo"))}


def users_of(farm: Farm) -> Users:
    """Make the users on its Redis."""
    for grant in grants(Broker(QUEUES)):
        raw(farm.server.client, "ACL", "SETUSER", *grant.rules(hashed(f"pw-{grant.account}")).split())
    made = Users(farm)
    made.denied()
    return made


@pytest.fixture
def users(farm: Farm) -> Users:
    return users_of(farm)

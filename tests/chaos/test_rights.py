"""Passwords and rights of the users of Redis change while work goes on: said clearly, and all goes on when mended."""

import pytest
import redis

from moie_worker.adapters.redis.acl import Account, Broker, grants, hashed
from moie_worker.plan.states import Place
from tests.acl_kit import QUEUES, Users, raw, users
from tests.chaos import oracle
from tests.farm import Farm, wait_until
from tests.faults import Figures

__all__ = ["users"]
pytestmark = pytest.mark.chaos

RECOVERY_S = 20


def at_work(users: Users, jobs: int) -> list[str]:
    """A worker and a beat as users of their own in the middle of a plan; returns its jobs."""
    farm = users.farm
    farm.settings |= {"MOIE_LEASE": "10s", "MOIE_RENEW": "3s"}
    users.worker("w1")
    users.beat("b1")
    ids = [f"j{number}" for number in range(jobs)]
    begin, end = (farm.sh(f"{word} $JOB $MOIE_TOKEN") for word in ("begin", "end"))
    check = f"{begin}; sleep 0.2; {end}"
    farm.load(*[{"id": job, "task": "work", "verification_cmd": f"JOB={job}; {check}"} for job in ids])
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 2, "the first jobs are verified")
    return ids


def change(users: Users, *rules: str) -> None:
    """Change the user of workers, and end its connections: who comes back has to log in again."""
    client: redis.Redis = users.farm.server.client
    raw(client, "ACL", "SETUSER", "worker", *rules)
    raw(client, "CLIENT", "KILL", "USER", "worker")


def recovered(farm: Farm, ids: list[str], figures: Figures) -> None:
    """New work begins in time, and the plan ends as the oracle wants it."""
    told = len(farm.told())
    figures.recovery_s = wait_until(lambda: len(farm.told()) > told + 1, "work goes on", 2 * RECOVERY_S)
    wait_until(lambda: farm.places() == {Place.COMPLETED: len(ids)}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    assert figures.recovery_s <= RECOVERY_S
    assert farm.journal("job.dead") == []


@pytest.mark.fault(19)
def test_the_rights_of_workers_are_revoked_and_given_back(farm: Farm, users: Users, figures: Figures) -> None:
    ids = at_work(users, 15)
    change(users, "-evalsha")
    wait_until(lambda: "forbids this to the user in its address" in farm.log("w1"), "its tasks say what is wrong")
    wait_until(lambda: "the broker forbids what a worker needs" in farm.log("w1"), "the worker says what is wrong")
    assert "ONE" in users.says(Account.CLI, "status")  # others are not touched
    grant = next(one for one in grants(Broker(QUEUES)) if one.account is Account.WORKER)
    change(users, *grant.rules(hashed("pw-worker")).split()[1:])
    recovered(farm, ids, figures)


@pytest.mark.whole
@pytest.mark.fault(19)
def test_the_password_of_workers_is_changed_and_changed_back(farm: Farm, users: Users, figures: Figures) -> None:
    ids = at_work(users, 60)
    change(users, "resetpass", hashed("another"))
    wait_until(lambda: "refuses user or password" in farm.log("w1"), "the worker says what is wrong")
    done = users.moie(Account.WORKER, "status")
    assert (done.exit_code, "refuses user or password" in done.stderr) == (3, True)
    change(users, "resetpass", hashed("pw-worker"))
    recovered(farm, ids, figures)


@pytest.mark.whole
@pytest.mark.fault(19)
def test_a_password_is_rotated_and_nobody_is_refused(farm: Farm, users: Users, figures: Figures) -> None:
    ids = at_work(users, 60)
    client: redis.Redis = farm.server.client
    raw(client, "ACL", "SETUSER", "worker", hashed("new"))  # beside the old one
    options = ("worker", "-n", "w2@test", "-c", "3", "-l", "INFO")
    farm.celery("w2", *options, env={"MOIE_REDIS_URL": users.url(Account.WORKER).replace("pw-worker", "new")})
    farm.ready("w2")
    farm.stop("w1")
    raw(client, "ACL", "SETUSER", "worker", "!" + hashed("pw-worker").removeprefix("#"))
    wait_until(lambda: farm.places() == {Place.COMPLETED: len(ids)}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    assert users.moie(Account.WORKER, "status").exit_code == 3
    assert {one for one in users.denied() if ": auth " not in one} == set()

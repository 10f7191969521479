"""The primary that Sentinels watch dies or freezes: work goes on at another one, and each job settles once."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from moie_worker.errors import UnreachableError
from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, alone, farm_in, say, wait_until
from tests.faults import Figures
from tests.sentinel_kit import Group
from tests.tls_kit import Authority

pytestmark = pytest.mark.chaos

GAP_S = 20
JOBS = 60


@pytest.fixture
def group_farm(request: pytest.FixtureRequest) -> Iterator[tuple[Group, Farm]]:
    with farm_in(state=request.param) as farm:
        assert isinstance(farm.state, Group)
        wait_until(farm.state.watched, "the Sentinels know everyone")
        yield farm.state, farm


def in_tls(directory: Path) -> Group:
    return Group(directory, Authority(directory, "ours"))


def begun(farm: Farm) -> int:
    """How many commands were started; the files that they write are there whatever becomes of Redis."""
    return sum(words[0] != "end" for words in farm.told())


def all_verified(farm: Farm) -> bool:
    with suppress(UnreachableError):  # the test's own connection may be one to the old primary
        return farm.places() == {Place.COMPLETED: JOBS}
    return False


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    ("group_farm", "fault"),
    [
        pytest.param(Group, "killed", id="killed"),
        pytest.param(Group, "frozen", id="frozen", marks=pytest.mark.whole),
        pytest.param(in_tls, "killed", id="killed-tls", marks=pytest.mark.whole),
    ],
    indirect=["group_farm"],
)
def test_work_goes_on_at_another_primary_and_each_job_settles_once(
    group_farm: tuple[Group, Farm], fault: str, figures: Figures
) -> None:
    group, farm = group_farm
    farm.settings |= {"MOIE_LEASE": "10s", "MOIE_RENEW": "3s"}
    farm.staff()
    ids = [f"j{number}" for number in range(JOBS)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 1)} for job in ids])
    wait_until(lambda: begun(farm) > 8, "the first jobs are verified")
    old = group.primary()
    with ExitStack() as stack:
        began = time.monotonic()
        old.kill() if fault == "killed" else stack.enter_context(group.frozen(old))
        wait_until(lambda: group.primary() is not old, "another one is the primary")
        switched = time.monotonic() - began
        before = begun(farm)
        wait_until(lambda: begun(farm) > before, "jobs begin again", 60)
        gap = time.monotonic() - began
    if fault == "killed":
        old.start()
    wait_until(lambda: group.replicas(group.primary()) == 2, "the old one came back as a replica", 60)
    wait_until(lambda: all_verified(farm), "every job is verified", 90)
    events = Counter(entry.event for entry in farm.store.read_journal(10_000))
    say(f"{fault}: another primary after {switched:.1f} s, jobs began again after {gap:.1f} s; {dict(events)}")
    figures.recovery_s, figures.again = gap, oracle.ended_well(farm, *ids)
    assert gap <= GAP_S
    assert events["job.dead"] == 0, "a failover is charged to nobody"

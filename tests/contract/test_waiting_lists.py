"""The lists of what waits: a job stands on one at most, they do not grow, and who is missing from one is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.audit import audit
from moie_worker.plan.invariants import Rule
from moie_worker.plan.limits import BATCH
from moie_worker.plan.states import Place
from tests.contract.conftest import ManualRedis
from tests.contract.model import cyclic, job
from tests.contract.trace import WHO, Trace


class Lists:
    """A plan in Redis, and what its lists hold."""

    def __init__(self, manual: ManualRedis) -> None:
        self.client = manual.client
        self.store: RedisStore = manual.store("listed")
        self.trace = Trace(self.store, manual.time, manual.advance, lambda: manual.store("listed"))

    def all(self) -> dict[str, list[str]]:
        """By what is waited for."""
        prefix = self.store.key("parked", "")
        keys: Any = sorted(self.client.scan_iter(f"{prefix}*"))
        lists: list[Any] = [self.client.zrange(key, 0, -1) for key in keys]
        return {key.removeprefix(prefix): jobs for key, jobs in zip(keys, lists, strict=True)}

    def make_old(self) -> None:
        """As an earlier release kept them, those that were woken among them."""
        for key in [*self.client.scan_iter(self.store.key("parked", "*")), *self._woken()]:
            jobs: Any = self.client.zrange(key, 0, -1)
            self.client.delete(key)
            self.client.rpush(key, *jobs)

    def _woken(self) -> list[str]:
        return [str(key) for key in self.client.scan_iter(self.store.key("woken:*"))]


@pytest.fixture
def lists(manual_redis: ManualRedis) -> Lists:
    return Lists(manual_redis)


def test_lists_do_not_grow_with_the_number_of_loads(lists: Lists) -> None:
    sizes: list[int] = []
    for night in range(4):
        changed = job("c", 1, version=night, needs=("a",))
        idle = replace(cyclic("i", 1, version=night), idle=True)
        lists.trace.load(job("a", 1), job(f"b{night}", 2), changed, idle, cyclic(f"i{night}", 1, idle=True))
        lists.store.cancel("c", *WHO)
        sizes.append(sum(map(len, lists.all().values())))
    assert sizes == [sizes[0]] * 4
    assert lists.all() == {"action": ["i", "i3"], "phase:2": ["b3"]}


Leaves = Callable[[Lists], object]
LEAVING: dict[str, Leaves] = {
    "cancelled": lambda lists: lists.store.cancel("b", *WHO),
    "removed": lambda lists: lists.trace.load(job("a", 1)),
    "changed": lambda lists: lists.trace.load(job("a", 1), job("b", 1, version=1)),
    "waits for less": lambda lists: lists.trace.load(job("a", 1), job("b", 1)),
    "in another phase": lambda lists: lists.trace.load(job("a", 1), job("b", 2, needs=("a",))),
    "woken": lambda lists: lists.trace.do("a"),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_whoever_waits_no_more_is_on_no_list(lists: Lists, leave: Leaves) -> None:
    lists.trace.load(job("a", 1), job("b", 1, needs=("a",)))
    assert lists.all() == {"job:a": ["b"]}
    leave(lists)
    assert "job:a" not in lists.all()


def test_a_plan_that_is_restored_is_listed_once(lists: Lists) -> None:
    lists.trace.load(job("a", 1), job("b", 1, needs=("a",)), job("c", 2))
    before, saved = lists.all(), lists.store.saved(lists.store.capture())
    assert saved is not None
    lists.store.restore(saved, 1, *WHO)
    lists.trace.load_plan_to_its_end()
    assert lists.all() == before


@pytest.mark.parametrize("what", ["phase:2", "job:a"])
def test_a_job_that_is_missing_from_a_list_of_others_is_found_and_repaired(lists: Lists, what: str) -> None:
    lists.trace.load(job("a", 1), job("b1", 1, needs=("a",)), job("b2", 1, needs=("a",)), job("c1", 2), job("c2", 2))
    missing = {"phase:2": "c1", "job:a": "b1"}[what]
    before = lists.all()
    lists.client.zrem(lists.store.key("parked", what), missing)
    (named,) = audit(lists.store, overdue=False).broken
    assert (named.rule, named.what) == (Rule.WAKE, missing)
    assert lists.store.audit(100) == [missing]
    assert lists.all() == before


def test_a_job_on_the_list_of_what_is_over_is_found_and_repaired(lists: Lists) -> None:
    lists.trace.load(job("a", 1), job("z", 1), job("b", 1, needs=("a", "z")))
    lists.trace.do("a")
    lists.trace.offer()
    assert lists.all() == {"job:z": ["b"]}
    lists.client.rename(lists.store.key("parked", "job:z"), lists.store.key("parked", "job:a"))
    (named,) = audit(lists.store, overdue=False).broken
    assert (named.rule, named.what) == (Rule.WAKE, "b")
    assert lists.store.audit(100) == ["b"]
    assert lists.all()["job:z"] == ["b"]


def test_those_that_came_first_are_looked_at_first(lists: Lists) -> None:
    late = [job(f"a{number:03}", 2) for number in range(BATCH)]
    lists.trace.load(job("one", 1), *(job(f"z{number:03}", 2) for number in range(BATCH)))
    lists.trace.advance(5)
    lists.trace.load(job("one", 1), *(job(f"z{number:03}", 2) for number in range(BATCH)), *late)
    lists.trace.do("one")
    lists.store.reserve("default", 0, "none")
    assert {view.definition.id[0] for view in lists.store.in_places([Place.READY], BATCH)} == {"z"}


OLD = [job("a", 1), job("b", 1, needs=("a",)), job("c1", 2), job("c2", 2)]
USES: dict[str, Leaves] = {
    "one more": lambda lists: lists.trace.load(*OLD, job("d", 2)),
    "one less": lambda lists: lists.store.cancel("c2", *WHO),
    "woken": lambda lists: None,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_lists_of_an_earlier_release_are_brought_to_the_new_form_when_they_are_met(lists: Lists, use: Leaves) -> None:
    lists.trace.load(*OLD)
    lists.make_old()
    assert audit(lists.store, overdue=False).broken == ()
    assert lists.store.audit(100) == []
    use(lists)
    for name in ("a", "b"):
        lists.trace.do(name)
    lists.trace.offer()
    later = {view.definition.id: view.place for view in lists.store.all_jobs() if view.definition.phase == 2}
    assert set(later.values()) <= {Place.SENT, Place.CANCELLED}
    assert later["c1"] is Place.SENT
    assert lists.all() == {}


def test_a_list_of_an_earlier_release_that_was_woken_is_drained(lists: Lists) -> None:
    lists.trace.load(job("a", 1), *(job(f"b{number:03}", 1, needs=("a",)) for number in range(BATCH + 1)))
    lists.trace.do("a")
    lists.make_old()
    while lists.store.reserve("default", 0, "none").more:
        pass
    assert {view.place for view in lists.store.all_jobs()} == {Place.READY, Place.COMPLETED}

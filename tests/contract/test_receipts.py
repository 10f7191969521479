"""Receipts in the twin and in Redis: who leaves one, and how heartbeats seal them, at once and after crashes."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.heart.receipt_export import export, newest
from moie_worker.heart.receipts import PAGE, Sealer
from moie_worker.plan.receipts import read_seal
from moie_worker.plan.states import Place
from moie_worker.ports import Drop, Receipts
from tests.contract.model import job
from tests.contract.trace import Trace, ran
from tests.receipt_kit import Key, Memory, Ring, lines_of, packed, receipt, sealer, verdict

KEY = Key("k")
NOW = 1_800_000_000_000


@pytest.fixture(params=["twin", "redis"])
def store(request: pytest.FixtureRequest) -> Receipts:
    if request.param == "twin":
        return MemoryStore("p")
    return RedisStore(request.getfixturevalue("redis_client"), "p")


def put(store: Receipts, *numbers: int, text: str = "") -> None:
    """What settlements leave behind."""
    for packed_one in [text] if text else packed(KEY, *map(receipt, numbers)):
        if isinstance(store, RedisStore):
            store.client.xadd(store.key("receipts"), {"r": packed_one})
        else:
            cast(MemoryStore, store).keep_receipt(packed_one)


def seal(store: Receipts, kept: int = 1000) -> str:
    return sealer(KEY, kept=kept).seal(store, "p", NOW)


def proven(store: Receipts) -> list[int]:
    """The numbers of a chain that is whole."""
    found = verdict(lines_of(store), KEY)
    assert found.problems == ()
    return list(range(found.first, found.last + 1))


# -- what leaves a receipt ----------------------------------------------------------------------------


def test_a_verified_job_leaves_the_receipt_it_was_settled_with(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.do("a", receipt='{"proof":[],"of":"a"}')
    trace.do("b", receipt='{"proof":[],"of":"b"}')
    found = trace.store.receipts_after("", 10)
    assert [each.packed for each in found] == ['{"proof":[],"of":"a"}', '{"proof":[],"of":"b"}']
    assert found[0].id != found[1].id


def test_nothing_else_leaves_one(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1), job("c", 1, cyclic=True))
    trace.do("a", Place.DEAD)
    trace.do("b")
    hint, attempt = trace.start("c")
    trace.store.settle([ran(attempt, trace.time.now + 1000)], hint, done=True)
    assert trace.store.receipts_after("", 10) == []


def test_a_settlement_that_comes_twice_leaves_one(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    for _ in range(2):
        trace.finish(hint, attempt, receipt="{}")
    assert len(trace.store.receipts_after("", 10)) == 1


def test_a_settlement_that_does_not_count_leaves_none(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.store.cancel("a", "ops", "")
    trace.finish(hint, attempt, receipt="{}")
    assert trace.store.receipts_after("", 10) == []


def test_an_attempt_knows_the_revision_of_its_job(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    assert trace.start("a")[1].revision == 1
    trace.load(job("a", 1), replace(job("b", 1), digest="another"))
    assert trace.start("b")[1].revision == 2


# -- sealing ------------------------------------------------------------------------------------------


def test_a_heartbeat_seals_what_waits_and_goes_on_where_it_ended(store: Receipts) -> None:
    put(store, 1, 2)
    assert seal(store).startswith("sealed: 2 receipts, 2 in all, head ")
    assert seal(store) == ""
    put(store, 3)
    assert seal(store).startswith("sealed: 1 receipts, 3 in all, head ")
    assert proven(store) == [1, 2, 3]


def test_nothing_is_sealed_yet(store: Receipts) -> None:
    put(store, 1)
    with pytest.raises(NotFoundError, match="moie heartbeat"):
        list(export(store))
    assert [(each.number, each.sealed) for each in newest(store, 10)] == [(1, False)]


def test_more_than_a_page_is_sealed_by_one_heartbeat(store: Receipts) -> None:
    put(store, *range(1, PAGE + 6))
    assert f"{PAGE + 5} receipts, {PAGE + 5} in all" in seal(store)
    assert len(store.seals(0, 10)) == 2
    assert proven(store)[-1] == PAGE + 5


def test_a_heartbeat_killed_between_reading_and_sealing_leaves_all_to_the_next(store: Receipts) -> None:
    put(store, 1, 2)

    class Killed(Key):
        def sign(self, data: bytes) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealer(Killed("k")).seal(store, "p", NOW)
    assert store.last_seal() == ""
    put(store, 3)
    assert seal(store)
    assert proven(store) == [1, 2, 3]


def test_of_two_heartbeats_at_once_one_seals(store: Receipts) -> None:
    put(store, 1, 2)

    class Slow(Key):
        """While it signs, another heartbeat does everything."""

        def sign(self, data: bytes) -> bytes:
            put(store, 3)
            assert "3 receipts" in seal(store)
            return super().sign(data)

    slow = Slow("slow")
    assert Sealer(slow, Ring().trust(KEY, slow), 1000, "slow", Memory()).seal(store, "p", NOW) == ""
    assert len(store.seals(0, 10)) == 1
    assert proven(store) == [1, 2, 3]


def test_many_heartbeats_at_once_never_fork_the_chain(redis_url: str, redis_client: "redis.Redis") -> None:
    store = RedisStore(redis_client, "p")

    def beats() -> None:
        for _ in range(20):
            put(store, 1)
            seal(store)

    threads = [threading.Thread(target=beats) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seal(store)
    assert proven(store) == list(range(1, 81))


def test_a_seal_that_nobody_trusted_made_is_not_built_upon(store: Receipts) -> None:
    put(store, 1)
    stranger = Key("stranger")
    sealer(stranger).seal(store, "p", NOW)
    put(store, 2)
    before = store.last_seal()
    assert seal(store).startswith("RECEIPTS ARE NOT SEALED: the newest seal (receipt 1) is not signed by a key trusted")
    assert store.last_seal() == before
    assert Sealer(KEY, Ring().trust(KEY, stranger), 1000, "w", Memory()).seal(store, "p", NOW)


def test_a_seal_of_another_plan_is_not_built_upon(store: Receipts) -> None:
    other = MemoryStore("other")
    put(other, 1)
    sealer(KEY).seal(other, "other", NOW)
    store.seal("", other.last_seal(), [], None)
    put(store, 2)
    assert "NOT SEALED" in seal(store)


def test_a_chain_that_is_shorter_than_this_machine_knew_is_told_once_and_goes_on(store: Receipts) -> None:
    witness, other = Memory(), MemoryStore("p")
    put(store, 1, 2)
    assert "MISSING" not in sealer(KEY, witness=witness).seal(store, "p", NOW)
    put(other, 1)
    cut = sealer(KEY, witness=witness)
    told = cut.seal(other, "p", NOW)
    assert told.startswith(f"RECEIPTS ARE MISSING: 2 were sealed, head {read_seal(store.last_seal()).seal.head}, and ")
    assert "the newest seal is of receipt 0: Redis lost them, somebody removed them, or this is another Redis" in told
    assert "sealed: 1 receipts, 1 in all" in told
    put(other, 2)
    assert "MISSING" not in cut.seal(other, "p", NOW)


def test_a_chain_that_is_gone_is_told_once_though_nothing_waits(store: Receipts) -> None:
    witness, emptied = Memory(), MemoryStore("p")
    put(store, 1)
    again = sealer(KEY, witness=witness)
    again.seal(store, "p", NOW)
    assert "RECEIPTS ARE MISSING: 1 were sealed" in again.seal(emptied, "p", NOW)
    assert again.seal(emptied, "p", NOW) == ""
    put(emptied, 1)
    assert "MISSING" not in again.seal(emptied, "p", NOW)


def test_another_chain_of_the_same_length_is_told_too(store: Receipts) -> None:
    witness, other = Memory(), MemoryStore("p")
    put(store, 1)
    put(other, 2)
    sealer(KEY, witness=witness).seal(store, "p", NOW)
    sealer(KEY).seal(other, "p", NOW)
    assert "RECEIPTS ARE MISSING: 1 were sealed" in sealer(KEY, witness=witness).seal(other, "p", NOW)


def test_what_others_sealed_since_is_not_missed(store: Receipts) -> None:
    here, there = Memory(), Memory()
    for number in range(1, 7):
        put(store, number)
        assert "MISSING" not in sealer(KEY, witness=here if number % 2 else there).seal(store, "p", NOW)


def test_a_worker_without_a_key_says_so(store: Receipts) -> None:
    put(store, 1)
    assert "can use no key" in Sealer(None, Ring(), 1000, "w", Memory()).seal(store, "p", NOW)
    assert store.last_seal() == ""


@pytest.mark.parametrize("text", ["", "nonsense", '{"proof":[]}\n{"proof":[]}', '{"proof":["é"]}'])
def test_what_is_no_receipt_is_taken_out_and_told(store: Receipts, text: str) -> None:
    put(store, 1)
    put(store, text=text or " ")
    put(store, 2)
    assert seal(store).endswith("removed from the receipts, not written by a worker: 1")
    assert proven(store) == [1, 2]


def test_a_page_of_garbage_keeps_no_receipt_from_its_seal(store: Receipts) -> None:
    for _ in range(PAGE):
        put(store, text="garbage")
    put(store, 1)
    assert f"worker: {PAGE}" in seal(store)
    assert proven(store) == [1]


# -- bounds -------------------------------------------------------------------------------------------


def test_storage_is_bounded_and_what_is_kept_is_proven(store: Receipts) -> None:
    for number in range(1, 41):
        put(store, number)
        seal(store, kept=10)
    assert store.receipts_kept() == 10
    assert len(store.seals(0, 100)) == 11  # one of them says what came before
    assert proven(store) == list(range(31, 41))
    assert [each.number for each in newest(store, 3)] == [38, 39, 40]


def test_what_is_not_sealed_is_never_dropped(store: Receipts) -> None:
    put(store, *range(1, 31))
    seal(store, kept=10)
    put(store, *range(31, 41))
    assert store.receipts_kept() == 40
    seal(store, kept=10)
    assert proven(store) == list(range(31, 41))


def test_old_seals_are_dropped_though_the_setting_was_lowered(store: Receipts) -> None:
    for number in range(1, 101):
        put(store, number)
        seal(store)
    for number in range(101, 106):
        put(store, number)
        seal(store, kept=5)
    assert proven(store) == [101, 102, 103, 104, 105]


def test_an_export_during_which_receipts_are_dropped_says_so(store: Receipts) -> None:
    for number in range(1, 5):
        put(store, number)
        seal(store)
    lines = export(store)
    next(lines)
    put(store, 5)
    seal(store, kept=1)
    with pytest.raises(RefusedError, match="export again"):
        list(lines)


# -- somebody writes into Redis -----------------------------------------------------------------------


@pytest.fixture
def sealed(redis_client: "redis.Redis") -> RedisStore:
    """Nine receipts under three seals."""
    store = RedisStore(redis_client, "p")
    for first in (1, 4, 7):
        put(store, first, first + 1, first + 2)
        seal(store)
    return store


def said(store: RedisStore) -> Sequence[str]:
    return verdict(lines_of(store), KEY).problems


def test_a_receipt_deleted_in_redis_is_named(sealed: RedisStore) -> None:
    gone = sealed.receipts_after("", 9)[4].id
    sealed.client.xdel(sealed.key("receipts"), gone)
    assert any("receipt 6 is missing" in problem for problem in said(sealed))


def test_receipts_swapped_in_redis_are_named(sealed: RedisStore) -> None:
    entries: Any = sealed.client.xrange(sealed.key("receipts"))
    ids, values = [stream_id for stream_id, _ in entries], [fields for _, fields in entries]
    values[3], values[4] = values[4], values[3]
    sealed.client.delete(sealed.key("receipts"))
    for stream_id, fields in zip(ids, values, strict=True):
        sealed.client.xadd(sealed.key("receipts"), fields, id=stream_id)
    assert said(sealed) == (
        "line 7: receipt 7 (job j7): does not follow the line before it: one of the two was changed",
    )


def test_a_seal_taken_back_in_redis_is_told_by_the_head_that_was_reported(sealed: RedisStore) -> None:
    reported = read_seal(sealed.last_seal()).seal.head
    sealed.client.rpop(sealed.key("receipts", "seals"))
    assert said(sealed) == ()
    assert "another chain" in verdict(lines_of(sealed), KEY, reported).problems[0]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nonsense_among_the_seals_is_no_seal(sealed: RedisStore, place: int) -> None:
    sealed.client.lset(sealed.key("receipts", "seals"), place, "nonsense")
    if place == 2:
        put(sealed, 10)
        assert "the newest seal is none" in seal(sealed)
    else:
        assert said(sealed) == ()


def test_a_seal_is_refused_when_another_came_first(store: Receipts) -> None:
    assert store.seal("", "one", [], None)
    assert not store.seal("", "two", [], Drop(1, "9-9"))
    assert store.seals(0, 9) == ["one"]
    assert store.seal("one", "two", [], Drop(1, "9-9"))
    assert store.seals(0, 9) == ["two"]

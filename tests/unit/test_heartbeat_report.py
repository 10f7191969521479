"""What a heartbeat says and records."""

from typing import Any

import pytest

from moie_worker.adapters.memory.core import ManualTime
from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.heartbeat import beat, beat_all, traced
from moie_worker.plan.chain import Pulse, Station
from moie_worker.plan.receipts import read_seal
from moie_worker.plan.states import Place
from tests.receipt_kit import Key, packed, receipt, sealer
from tests.unit.heart_kit import CYCLIC, FAILED, FakeFleet, FlakyStore, Heart, HeldChain, jobs, load


def lines(heart: Heart) -> list[str]:
    return beat(heart.store, heart.fleet, "w").split("\n")


def fail(heart: Heart, *names: str) -> None:
    """Checks that say no."""
    from moie_worker.heart.hints import work

    heart.runner.does = lambda command, stop: FAILED
    work(heart.hint(*names), heart.desk())


def test_a_beat_says_when_and_where_the_plan_stands() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    assert lines(heart)[0] == "HEARTBEAT 2027-01-15 08:00:00 UTC – phase 1 (p) is active"


def test_a_plan_that_was_never_loaded_says_so() -> None:
    assert lines(Heart())[0].endswith(" – no plan is loaded")


def test_states_of_the_whole_plan_are_named() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    heart.store.pause("ops", "")
    assert lines(heart)[0].endswith(" – PAUSED, phase 1 (p) is active")
    heart.store.resume("ops", "")
    heart.store.cancel_plan("ops", "")
    assert lines(heart)[0].endswith(" – the plan is CANCELLED")


def test_a_phase_that_waits_for_somebody_is_not_called_active() -> None:
    heart = Heart()
    load(heart.store, {"id": "a"}, approval={"expires": "10m"})
    assert lines(heart)[0].endswith(" – phase 1 (p) is AWAITING APPROVAL")
    heart.clock.advance(600_000)
    assert lines(heart)[0].endswith(" – phase 1 (p) is not approved in time, which means no")
    lines(heart)
    assert [entry.event for entry in heart.store.journal].count("phase.expired") == 1


def test_a_load_that_goes_on_is_named() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    heart.store.set(loading=True)
    assert lines(heart)[0].endswith(" – revision 1 is being loaded")


def test_a_sovereign_plan_names_what_it_watches() -> None:
    heart = Heart()
    heart.load({"id": "a", "status": "completed"}, {"id": "scan"} | CYCLIC, imported=True)
    assert lines(heart) == [
        "HEARTBEAT 2027-01-15 08:00:00 UTC – SOVEREIGN: every job is verified "
        "but 1 that were imported as completed, never verified",
        "reached: phase 1",
        "CYCLIC OPERATION MODE: scan",
    ]


def test_somebody_has_to_act_where_a_check_says_no() -> None:
    heart = Heart()
    heart.load({"id": "a", "task": "Make it", "description": "with care"}, {"id": "b"})
    fail(heart, "a")
    assert lines(heart)[-1] == "ACTION REQUIRED: a Make it – with care (check says no: exit code 1)"


def test_of_many_waiting_jobs_some_are_named() -> None:
    heart = Heart()
    names = [f"j{n}" for n in range(7)]
    heart.load(*jobs(names))
    fail(heart, *names)
    found = [line for line in lines(heart) if line.startswith("ACTION REQUIRED")]
    assert len(found) == 6
    assert found[-1] == "ACTION REQUIRED: more jobs wait, see `moie jobs`"


def test_what_happened_since_the_last_beat_is_told_once() -> None:
    from moie_worker.heart.hints import work

    heart = Heart()
    names = [f"j{n}" for n in range(7)]
    heart.load(*jobs(names))
    work(heart.hint(*names), heart.desk())
    assert "verified: j0, j1, j2, j3, j4 and 2 more" in lines(heart)
    heart.clock.advance(1)
    assert not [line for line in lines(heart) if line.startswith("verified")]


def test_a_beat_is_recorded_and_lets_waiting_jobs_be_looked_at_again() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    fail(heart, "a")
    heart.clock.advance(1)
    lines(heart)
    flags = heart.store.flags
    assert (flags.last_heartbeat, flags.beats) == (heart.store.now, 1)
    assert heart.store.reserve("default", 1, "n").hints[0].jobs == ("a",)
    assert heart.store.journal[-1].event == "heartbeat"


def test_repairs_are_told() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    audited: list[int] = []

    def audit(count: int) -> list[str]:
        audited.append(count)
        return ["a"]

    heart.store.audit = audit  # type: ignore[method-assign]
    assert lines(heart)[-1] == "repaired: a"
    assert len(audited) == 1


def test_what_a_beat_reads_does_not_grow_with_the_plan() -> None:
    heart = Heart()
    asked: list[Any] = []
    read = heart.store.in_places

    def in_places(places: Any, limit: int) -> Any:
        asked.append((tuple(places), limit))
        return read(places, limit)

    heart.store.in_places = in_places  # type: ignore[method-assign]
    load(heart.store, *jobs(f"j{n}" for n in range(500)))
    lines(heart)
    assert asked == [((Place.WAITING,), 6)]


def test_a_plan_that_cannot_be_read_keeps_no_other_from_its_heartbeat() -> None:
    time = ManualTime()
    bad, good = FlakyStore(time, "bad"), FlakyStore(time, "good")
    bad.cut, bad.error = {"overview": 1}, MoieError("Redis refused")
    fleet = FakeFleet(["bad", "good"])
    said = beat_all(fleet, {"bad": bad, "good": good}.__getitem__, "w")
    assert said.text.startswith("plan bad has no heartbeat: Redis refused\nHEARTBEAT ")
    assert said.without == {"bad": "Redis refused"}
    assert (bad.flags.beats, good.flags.beats) == (0, 1)
    assert fleet.rings == ["good"]  # its waiting jobs are to be looked at again


def test_a_heartbeat_is_traced_to_its_record_and_says_which_plan_has_none() -> None:
    store, chain, pulse = FlakyStore(ManualTime()), HeldChain(), Pulse("heartbeat:7", 7)
    traced(chain, pulse, lambda: beat_all(FakeFleet(), lambda _: store, "w", pulse=pulse))
    assert chain.marks == [(Station.BEGUN, pulse, ""), (Station.RECORDED, pulse, "")]
    store.cut, store.error = {"overview": 1}, MoieError("Redis refused")
    traced(chain, pulse, lambda: beat_all(FakeFleet(), lambda _: store, "w"))
    assert chain.marks[2:] == [(Station.BEGUN, pulse, ""), (Station.UNRECORDED, pulse, "plan default: Redis refused")]


def test_a_heartbeat_counts_where_its_way_cannot_be_written_down() -> None:
    store, chain = FlakyStore(ManualTime()), HeldChain()
    chain.error = MoieError("Redis forbids this")
    traced(chain, Pulse("heartbeat:7", 7), lambda: beat_all(FakeFleet(), lambda _: store, "w"))
    assert store.flags.beats == 1


def test_without_redis_there_is_no_heartbeat_of_any_plan() -> None:
    store = FlakyStore(ManualTime())
    store.cut = {"overview": 1}
    with pytest.raises(UnreachableError):
        beat_all(FakeFleet(), lambda _: store, "w")


def test_without_a_plan_the_heartbeat_says_so() -> None:
    assert beat_all(FakeFleet([]), lambda _: FlakyStore(ManualTime()), "w").text == "no plan is loaded"


def test_what_was_sealed_is_told_with_the_head_that_others_may_note() -> None:
    heart, key = Heart(), Key("k")
    heart.load({"id": "a"})
    heart.store.keep_receipt(packed(key, receipt(1, plan="default"))[0])
    said = beat(heart.store, heart.fleet, "w", sealer=sealer(key))
    head = read_seal(heart.store.last_seal()).seal.head
    assert said.splitlines()[-1] == f"sealed: 1 receipts, 1 in all, head {head}"
    assert head in heart.store.journal[-1].data["report"]
    assert "sealed" not in beat(heart.store, heart.fleet, "w", sealer=sealer(key))


def test_a_chain_that_cannot_be_sealed_stops_no_heartbeat() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    heart.store.seal_lines.append("nonsense")
    said = beat(heart.store, heart.fleet, "w", sealer=sealer(Key("k")))
    assert "RECEIPTS ARE NOT SEALED: the newest seal is none" in said
    assert heart.store.flags.beats == 1


def test_what_regressed_is_named_and_so_is_what_holds_again() -> None:
    heart = Heart()
    heart.load(*({"id": f"j{number}", "reverify": "1h"} for number in range(7)))
    heart.store.regressed |= {f"j{number}": heart.store.now + number for number in range(7)}
    heart.store.log("job.recovered", "old")
    said = lines(heart)
    assert [text.split()[0] for text in said if " t REGRESSED 2027-" in text] == ["j0", "j1", "j2", "j3", "j4"]
    assert "REGRESSED: 7 jobs in all, see `moie status`" in said
    assert "holds again: old" in said

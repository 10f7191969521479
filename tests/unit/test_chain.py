"""Which link of the chain beat → broker → worker → state → outside is missing, from what each station saw."""

from dataclasses import replace
from datetime import timedelta

import pytest

from moie_worker.plan.chain import Link, Mark, Pulse, Sight, Station, missing_link
from moie_worker.plan.presence import Beat, Worker

NOW, LIMIT_MS = 1_000_000_000, 45_000
OLD = NOW - LIMIT_MS - 1
BEAT = Beat("b", "h", 1, 0, heartbeat=timedelta(seconds=15))
WORKER = Worker("w", "h", 2, ("default",), 1, 0)
WAY = (Station.SENT, Station.RECEIVED, Station.BEGUN, Station.RECORDED)


def mark(slot: int, note: str = "") -> Mark:
    return Mark(Pulse(f"heartbeat:{slot}", slot), slot, note)


def sight(*fresh: Station, **fields: object) -> Sight:
    """Stations of the way that saw the newest heartbeat; the others saw one that is too old."""
    trace = {station: mark(NOW if station in fresh else OLD) for station in WAY}
    made = Sight(NOW, timedelta(milliseconds=LIMIT_MS), trace, [BEAT], [WORKER])
    return replace(made, **fields)  # type: ignore[arg-type]


def link(seen: Sight) -> Link | None:
    found = missing_link(seen)
    return found.link if found else None


def seeing(seen: Sight, **marks: Mark) -> Sight:
    return replace(seen, trace={**seen.trace, **{Station(name): one for name, one in marks.items()}})


@pytest.mark.parametrize(
    ("reached", "missing"), [(4, None), (3, Link.STATE), (2, Link.WORKER), (1, Link.BROKER), (0, Link.BEAT)]
)
def test_what_a_heartbeat_did_not_reach_names_the_link_before_it(reached: int, missing: Link | None) -> None:
    assert link(sight(*WAY[:reached])) is missing


def test_a_heartbeat_of_exactly_the_limit_is_fresh() -> None:
    seen = sight()
    at_limit = {station: mark(OLD + 1) for station in WAY}
    assert link(replace(seen, trace=at_limit)) is None


def test_without_a_beat_the_beat_is_missing_whatever_was_seen() -> None:
    assert link(sight(*WAY, beats=[])) is Link.BEAT
    assert link(sight(*WAY, beats=[], plans=0)) is None


def test_a_beat_that_just_began_is_given_time() -> None:
    young = replace(BEAT, started_at=NOW - LIMIT_MS)
    assert link(sight(beats=[young])) is None
    assert link(sight(beats=[replace(young, started_at=OLD)])) is Link.BEAT


def test_beats_that_ask_for_no_heartbeat_miss_none() -> None:
    assert link(sight(beats=[replace(BEAT, heartbeat=None)])) is None


def test_a_broker_that_refuses_is_named_with_its_words_until_it_takes_the_heartbeat() -> None:
    seen = seeing(sight(*WAY), refused=mark(NOW + 1, "connection refused"))
    found = missing_link(seen)
    assert found is not None
    assert (found.link, found.message.rpartition(": ")[2]) == (Link.BROKER, "connection refused")
    assert link(seeing(seen, sent=mark(NOW + 1))) is None
    assert link(seeing(sight(), refused=mark(OLD + 1))) is Link.BROKER


def test_without_a_worker_on_the_queue_the_worker_is_missing() -> None:
    elsewhere = replace(WORKER, queues=("scan",))
    assert link(sight(Station.SENT, workers=[elsewhere])) is Link.WORKER
    assert link(sight(*WAY, workers=[elsewhere])) is None  # it ended in order a moment ago
    seen = seeing(sight(Station.SENT, workers=[elsewhere]), sent=mark(NOW, "scan"))
    assert link(seen) is Link.BROKER


def test_a_worker_that_went_without_a_word_is_missing_at_once_unless_another_is_there() -> None:
    found = missing_link(sight(*WAY, workers=[], gone=["w@1"]))
    assert found is not None
    assert found.link is Link.WORKER
    assert "gone without a word: w@1" in found.message
    assert link(sight(*WAY, gone=["w@1"])) is None


def test_a_worker_that_just_came_is_given_time_to_receive() -> None:
    assert link(sight(Station.SENT, workers=[replace(WORKER, started_at=NOW)])) is None


def test_a_plan_without_its_record_names_the_state() -> None:
    found = missing_link(seeing(sight(*WAY), unrecorded=mark(NOW + 1, "plan p: Redis is full")))
    assert found is not None
    assert (found.link, "plan p: Redis is full" in found.message) == (Link.STATE, True)


def test_the_outside_is_missing_when_it_did_not_answer_for_longer_than_the_limit() -> None:
    failed = mark(NOW, "500")
    assert link(seeing(sight(*WAY), unanswered=failed)) is Link.OUTSIDE
    assert link(seeing(sight(*WAY), unanswered=failed, answered=mark(OLD + 1))) is None
    assert link(seeing(sight(*WAY), unanswered=failed, answered=mark(OLD))) is Link.OUTSIDE
    assert link(seeing(sight(*WAY), answered=mark(OLD))) is None  # nobody asks it any more


@pytest.mark.parametrize("text", ["heartbeat", "2f5b9a1e-0c9c-4c3c-9c55-1f2f3a4b5c6d", "heartbeat:", "heartbeat:x"])
def test_what_no_beat_sent_is_no_pulse(text: str) -> None:
    assert Pulse.of(text) is None


def test_a_pulse_is_known_by_entry_and_slot() -> None:
    assert Pulse.of("a:heartbeat:1700000000000") == Pulse("a:heartbeat:1700000000000", 1_700_000_000_000)

"""How old a heartbeat may be follows from how often beats say that it comes."""

from datetime import timedelta

import pytest

from moie_worker.plan.doctor import Level, heartbeat_finding
from moie_worker.plan.pace import Pace
from moie_worker.plan.presence import Beat
from tests.unit.test_cli_status import job, loaded

S = timedelta(seconds=1)


def beat(name: str, every_s: int | None, started_at: int = 0) -> Beat:
    return Beat(name, "h", 1, started_at, heartbeat=None if every_s is None else every_s * S)


@pytest.mark.parametrize(("period_s", "limit_s"), [(600, 900), (60, 90), (59, 89), (15, 45), (1, 31)])
def test_a_heartbeat_may_be_late_by_half_its_period_and_by_half_a_minute(period_s: int, limit_s: int) -> None:
    assert Pace(period_s * S).limit == limit_s * S


def test_a_limit_that_was_set_holds_unless_no_heartbeat_could_keep_it() -> None:
    assert Pace(15 * S, told=20 * S).limit == 20 * S
    assert Pace(600 * S, told=20 * S).limit == 900 * S
    assert Pace(20 * S, told=20 * S).limit == 50 * S


def test_alerts_wait_until_presence_would_have_ended() -> None:
    assert Pace(1 * S, told=3 * S).watched == 25 * S
    assert Pace(600 * S).watched == 900 * S


def test_what_living_beats_announce_counts_and_the_setting_where_none_does() -> None:
    mine = Pace(600 * S)
    assert mine.announced([beat("a", 15), beat("old", None)]).period == 15 * S
    assert mine.announced([beat("a", 15), beat("b", 30)]).period == 30 * S
    assert mine.announced([beat("old", None)]) == mine.announced([]) == mine


def test_no_heartbeat_yet_is_a_warning_once_a_beat_lives_for_longer_than_the_period() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    beats = [beat("b", 15, store.now)]
    pace = Pace(600 * S).announced(beats)
    store.time.advance(15_000)
    assert heartbeat_finding(store.overview(), beats, pace).level is Level.OK
    store.time.advance(1)
    found = heartbeat_finding(store.overview(), beats, pace)
    assert found.level is Level.WARNING
    assert found.message.startswith("no heartbeat yet, and one is due every 15s")
    assert heartbeat_finding(store.overview(), [], pace).level is Level.OK
    store.beat("", "w")
    assert heartbeat_finding(store.overview(), beats, pace).level is Level.OK
    store.time.advance(45_001)
    assert heartbeat_finding(store.overview(), beats, pace).level is Level.FAULT

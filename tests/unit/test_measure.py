"""A run of anything is measured and recorded; its error is raised as it is."""

from datetime import UTC, datetime, timedelta

import pytest

from moie_worker.adapters.memory_dead_letters import MemoryRunLog
from moie_worker.adapters.meter import ThreadMeter
from moie_worker.errors import UnreachableError
from moie_worker.heart.measure import describe, measure
from moie_worker.plan.letters import Measured, Watched

SCAN = Watched("scan")


@pytest.fixture
def log() -> MemoryRunLog:
    return MemoryRunLog(lambda: datetime(2026, 3, 1, tzinfo=UTC))


def test_a_good_run_is_recorded_with_its_cost(log: MemoryRunLog) -> None:
    with measure(log, SCAN, ThreadMeter):
        sum(range(200_000))
    measured = log.history("scan").recent[0].measured
    assert measured.error == ""
    assert measured.cpu_s > 0
    assert 0 < measured.duration_s < 60
    assert measured.max_rss_bytes > 1_000_000


def test_a_decorated_function_is_recorded_at_every_call_and_keeps_its_answer(log: MemoryRunLog) -> None:
    @measure(log, SCAN, ThreadMeter)
    def double(number: int) -> int:
        return number * 2

    assert [double(1), double(2)] == [2, 4]
    assert log.history("scan").runs == 2


def test_an_error_is_recorded_and_raised_again(log: MemoryRunLog) -> None:
    error = OSError("disk\nfull")
    with pytest.raises(OSError, match="disk") as caught, measure(log, SCAN, ThreadMeter):
        raise error
    assert caught.value is error
    assert log.history("scan").recent[0].measured.error == "OSError: disk"
    assert log.history("scan").failures == 1


class AwayLog(MemoryRunLog):
    def record(self, run_of: Watched, measured: Measured, ago: timedelta = timedelta()) -> None:
        raise UnreachableError("Redis is away")


def test_a_log_out_of_reach_hides_neither_answer_nor_error(caplog: pytest.LogCaptureFixture) -> None:
    away = AwayLog(lambda: datetime(2026, 3, 1, tzinfo=UTC))
    with measure(away, SCAN, ThreadMeter):
        pass
    with pytest.raises(KeyError), measure(away, SCAN, ThreadMeter):
        raise KeyError("mine")
    assert caplog.text.count("is not recorded") == 2


def test_an_error_without_words_is_named_by_its_kind() -> None:
    assert describe(KeyError()) == "KeyError"


def test_a_long_error_is_cut() -> None:
    assert len(describe(ValueError("x" * 1_000_000))) < 1100


def test_the_words_of_an_error_move_no_cursor() -> None:
    assert describe(ValueError("refused x\x1b[2J\x9b1m\r\nmore")) == "ValueError: refused x\ufffd[2J\ufffd1m"

"""The bell that wakes beats, on a real Redis."""

from datetime import timedelta

import pytest

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.fleet import RedisFleet


@pytest.fixture
def fleet(redis_url: str) -> RedisFleet:
    return RedisFleet(connect(redis_url, deadline=timedelta(seconds=0.5)))


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 3])
def test_a_short_wait_for_a_ring_ends(fleet: RedisFleet, milliseconds: int) -> None:
    assert not fleet.listen(timedelta(milliseconds=milliseconds))


def test_a_wait_longer_than_the_client_is_patient_ends_without_an_error(fleet: RedisFleet) -> None:
    assert not fleet.listen(timedelta(seconds=60))


def test_a_ring_is_heard_once(fleet: RedisFleet) -> None:
    fleet.ring()
    assert fleet.listen(timedelta(seconds=60))
    assert not fleet.listen(timedelta(0))

"""What Redis refuses for a while is away, not wrong: the wait for it is charged to nobody."""

import pytest
from redis import exceptions

from moie_worker.adapters.redis.connect import translated
from moie_worker.errors import MoieError, UnreachableError


@pytest.mark.parametrize(
    "said",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script.",
        "MASTERDOWN Link with MASTER is down",
        "Error running script (call to f_1): @user_script:1: @user_script: 1: -NOREPLICAS Not enough good replicas.",
    ],
)
def test_a_redis_that_does_not_serve_just_now_is_away(said: str) -> None:
    with pytest.raises(UnreachableError, match="does not serve just now"), translated("redis://here"):
        raise exceptions.ResponseError(said)


def test_a_refused_connection_is_told_in_one_full_stop() -> None:
    with pytest.raises(UnreachableError, match=r"refused\. Is it running"), translated("redis://here"):
        raise exceptions.ConnectionError("Error 111 connecting to here:1. Connection refused.")


def test_an_error_of_ours_is_none_of_redis() -> None:
    with pytest.raises(MoieError, match="refused: WRONGTYPE") as caught, translated("redis://here"):
        raise exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    assert not isinstance(caught.value, UnreachableError)

"""What Redis refuses for a while is away, not wrong: the wait for it is charged to nobody."""

import pytest
from redis import exceptions

from moie_worker.adapters.redis.asking import NoPrimaryError, Refusal
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


SENTINELS = "sentinel://a:1,b:2/0?master=main"
REFUSED = exceptions.ConnectionError("Error 111 connecting to a:1. Connection refused.")
SLOW = exceptions.TimeoutError("Timeout connecting to server")
UNTRUSTED = exceptions.ConnectionError(
    "Error 1 connecting to b:2. [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch, "
    "certificate is not valid for '10.0.0.1'. (_ssl.c:1006)."
)


def no_handshake() -> exceptions.TimeoutError:
    """As redis-py makes it of what Python says."""
    error = exceptions.TimeoutError("Timeout connecting to server")
    error.__context__ = TimeoutError("_ssl.c:989: The handshake operation timed out")
    return error


@pytest.mark.parametrize(
    ("refusals", "words"),
    [
        ((), f"no Sentinel at {SENTINELS} names a living primary. Is a failover under way"),
        ((REFUSED, REFUSED), "living primary (Error 111 connecting to a:1. Connection refused). Is a failover"),
        ((SLOW, REFUSED), "(Timeout connecting to server; Error 111 connecting to a:1. Connection refused)"),
        ((REFUSED, no_handshake()), "can be asked: it does not answer the handshake of TLS"),
        ((REFUSED, UNTRUSTED), "can be asked: its certificate is not accepted. Name the file"),
        ((REFUSED, UNTRUSTED), "certificate is not valid for '10.0.0.1'. (_ssl.c:1006))"),
        ((exceptions.AuthenticationError("WRONGPASS x"),), "refuse user or password (WRONGPASS x). Theirs are not"),
    ],
)
def test_what_sentinels_that_cannot_be_asked_have_said_is_told(
    refusals: tuple[exceptions.RedisError, ...], words: str
) -> None:
    with pytest.raises(UnreachableError) as caught, translated(SENTINELS):
        raise NoPrimaryError("main", [Refusal.of(error) for error in refusals])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SLOW, "in time. Is it frozen or overloaded?"),
        (no_handshake(), "Is it frozen, or is it redis:// there?"),
    ],
)
def test_a_handshake_without_an_answer_is_told_from_a_command_without_one(error: Exception, words: str) -> None:
    with pytest.raises(UnreachableError) as caught, translated("rediss://here"):
        raise error
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize(
    ("said", "words"),
    [("Protocol error, got '\x15' as reply type byte", "It speaks TLS: use rediss://…"), ("b'HTTP/1.1'", "Is it one?")],
)
def test_an_answer_that_is_none_of_redis_is_told(said: str, words: str) -> None:
    with pytest.raises(UnreachableError) as caught, translated("redis://here"):
        raise exceptions.InvalidResponse(said)
    assert words in str(caught.value)


def test_a_file_of_tls_that_is_not_there_is_told_from_a_socket_that_is_not() -> None:
    missing = exceptions.ConnectionError("Error 2 connecting to here:1. No such file or directory.")
    with (
        pytest.raises(UnreachableError, match="a file is not there"),
        translated("rediss://here:1/0"),
    ):
        raise missing
    with pytest.raises(UnreachableError, match="Is it running, is the address right"), translated("unix:///here"):
        raise missing

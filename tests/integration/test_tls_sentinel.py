"""Redis that Sentinels watch, with TLS to both of them and a certificate authority of our own."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from redis import Redis, exceptions
from redis.connection import SSLConnection

from moie_worker.adapters.processes import free_port
from moie_worker.adapters.redis.connect import address_of, connect
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.errors import UnreachableError
from moie_worker.plan.states import Place
from tests.farm import Farm, farm_in, wait_until
from tests.sentinel_kit import Group, Member
from tests.tls_kit import Authority, tls_in_front_of

pytestmark = pytest.mark.integration

JOBS = 6


def in_tls(directory: Path) -> Group:
    return Group(directory, Authority(directory, "ours"))


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """One for all tests here: seven processes."""
    with farm_in(state=in_tls) as made:
        wait_until(lambda: answers(made.state.client), "Sentinels answer, and the primary")
        yield made


@pytest.fixture
def group(farm: Farm) -> Group:
    return group_of(farm)


def group_of(farm: Farm) -> Group:
    assert isinstance(farm.state, Group)
    return farm.state


def answers(client: Redis) -> bool:
    with suppress(exceptions.ConnectionError):
        return bool(client.ping())
    return False


@contextmanager
def plain_sentinel(directory: Path) -> Iterator[Member]:
    """One that was set up without TLS."""
    with closing(Member(directory, "plain", "requirepass asked\n")) as member:
        with Redis(port=member.port, password="asked") as client:
            wait_until(lambda: answers(client), "it answers")
        yield member


def refused(address: str) -> str:
    """What is said of an address; without the passwords in it."""
    with closing(connect(address, deadline=timedelta(seconds=2))) as client, pytest.raises(UnreachableError) as caught:
        RedisFleet(client).plans()
    for password in re.findall(r"(?<=password=)\w+|(?<=//:)\w+(?=@)", address):
        assert password not in str(caught.value)
    return str(caught.value)


def encrypted(client: Redis) -> bool:
    """Whether it speaks TLS to Redis and to every Sentinel that it asks."""
    pool: Any = client.connection_pool
    asked = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
    return all(issubclass(one.connection_class, SSLConnection) for one in (pool, *asked))


def test_work_is_done_with_state_and_broker_behind_tls(farm: Farm, group: Group) -> None:
    assert group.client.ping()
    assert encrypted(group.client)
    assert address_of(group.client).endswith("&tls=all")
    farm.staff(("w1",))
    farm.load(*[{"id": f"j{number}", "task": "be true", "verification_cmd": "true"} for number in range(JOBS)])
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified")


def test_celery_speaks_tls_to_sentinels_and_to_redis(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_REDIS_URL", group.url)
    app = import_module("moie_worker.celery").make_app()
    with app.connection_for_write() as broker:
        assert encrypted(broker.default_channel.client)
        with closing(broker.SimpleQueue("q")) as queue:
            queue.put({"a": 1})
            assert queue.get(timeout=5).payload == {"a": 1}


def test_a_broker_that_is_not_reached_says_why(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_REDIS_URL", group.url.partition("&ssl_ca_certs=")[0])
    app = import_module("moie_worker.celery").make_app()
    with (
        app.connection_for_write() as broker,
        pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        broker.default_channel.client.ping()


def test_a_certificate_that_is_not_accepted_is_told_with_what_to_do(group: Group, tmp_path: Path) -> None:
    address = group.url.partition("&ssl_ca_certs=")[0]
    for other in ("", f"&ssl_ca_certs={Authority(tmp_path, 'other').ca}"):
        said = refused(address + other)
        assert f"no Sentinel at sentinel://{','.join(sorted(group.places.split(',')))}/0" in said
        assert "its certificate is not accepted" in said
        assert "sentinel://…&tls=all&ssl_ca_certs=FILE" in said


def test_sentinels_without_tls_are_told_from_those_that_are_away(tmp_path: Path) -> None:
    with plain_sentinel(tmp_path) as sentinel:
        said = refused(f"sentinel://127.0.0.1:{sentinel.port}/0?master=m&tls=all")
        assert "is it sentinel://… without tls= there?" in said.replace("Is", "is")
    away = refused(f"sentinel://127.0.0.1:{free_port()}/0?master=m&tls=all")
    assert "Connection refused" in away
    assert "TLS" not in away


def test_sentinels_with_tls_that_is_not_asked_for_are_told(tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "ours").issue("127.0.0.1")
    with plain_sentinel(tmp_path) as sentinel, tls_in_front_of(sentinel.port, certificate) as port:
        said = refused(f"sentinel://127.0.0.1:{port}/0?master=m&sentinel_password=asked")
    assert re.search("It speaks TLS: use sentinel://…&tls=all&|Does it speak TLS .sentinel://…&tls=all&", said)


def test_a_wrong_password_of_the_sentinels_is_told_from_one_of_redis(group: Group) -> None:
    theirs = refused(re.sub("sentinel_password=[^&]*", "sentinel_password=wrong", group.url))
    assert theirs.startswith("Sentinels at sentinel://")
    assert "refuse user or password" in theirs
    assert "&sentinel_password=…" in theirs
    assert "refuse user or password" in refused(re.sub("sentinel_password=[^&]*&", "", group.url))
    its = refused(re.sub("//:[^@]*@", "//:wrong@", group.url))
    assert its.startswith("Redis at sentinel://")
    assert "refuses user or password" in its

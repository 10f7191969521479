"""Redis behind TLS, with a certificate authority of our own."""

import contextlib
import socket
import threading
from contextlib import closing
from pathlib import Path

import pytest
from kombu.connection import Connection

from moie_worker.adapters.redis.connect import address_of, connect
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.addresses import celery_url, tls_options
from moie_worker.errors import UnreachableError
from tests.conftest import RedisServer
from tests.tls_kit import Authority, tls_in_front_of

pytestmark = pytest.mark.integration


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def server(redis_server: RedisServer, redis_url: str) -> RedisServer:
    """An empty one."""
    return redis_server


def url(server: RedisServer, port: int, **options: object) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"rediss://:{server.password}@127.0.0.1:{port}/0?{query}"


def refused(address: str) -> str:
    with closing(connect(address)) as client, pytest.raises(UnreachableError) as caught:
        RedisFleet(client).plans()
    return str(caught.value)


def test_state_and_broker_are_reached_through_tls(server: RedisServer, authority: Authority) -> None:
    with tls_in_front_of(Path(server.socket), authority.issue("127.0.0.1")) as port:
        address = url(server, port, ssl_ca_certs=authority.ca)
        with closing(connect(address)) as client:
            RedisFleet(client).add_plan("over-tls")
            assert RedisFleet(client).plans() == ["over-tls"]
            assert address_of(client) == f"rediss://127.0.0.1:{port}/0"
        with Connection(celery_url(address), ssl=tls_options(address)) as broker:  # type: ignore[no-untyped-call]
            broker.ensure_connection(max_retries=1)
            with closing(broker.SimpleQueue("q")) as queue:
                queue.put({"a": 1})
                assert queue.get(timeout=5).payload == {"a": 1}


def test_a_client_shows_a_certificate_where_one_is_asked_for(server: RedisServer, authority: Authority) -> None:
    certificate, key = authority.issue("worker", name="client")
    with tls_in_front_of(Path(server.socket), authority.issue("127.0.0.1"), clients_of=authority.ca) as port:
        shown = url(server, port, ssl_ca_certs=authority.ca, ssl_certfile=certificate, ssl_keyfile=key)
        with closing(connect(shown)) as client:
            assert RedisFleet(client).plans() == []
        # With TLS 1.3 a client hears why, or only that the connection is gone: whatever comes first.
        assert f"rediss://127.0.0.1:{port}" in refused(url(server, port, ssl_ca_certs=authority.ca))


def test_what_is_wrong_with_a_certificate_is_said(server: RedisServer, authority: Authority, tmp_path: Path) -> None:
    with tls_in_front_of(Path(server.socket), authority.issue("127.0.0.1")) as port:
        unknown = refused(url(server, port))
        assert "its certificate is not accepted" in unknown
        assert "ssl_ca_certs=FILE" in unknown
        other = Authority(tmp_path, "other")
        assert "its certificate is not accepted" in refused(url(server, port, ssl_ca_certs=other.ca))
    with tls_in_front_of(Path(server.socket), authority.issue("redis.example.net")) as port:
        elsewhere = refused(url(server, port, ssl_ca_certs=authority.ca))
        assert "not valid for '127.0.0.1'" in elsewhere
        assert server.password not in elsewhere


def test_a_server_that_speaks_no_tls_is_told_from_one_that_is_away(server: RedisServer, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=answer_plainly, args=(plain,), daemon=True).start()
        port = plain.getsockname()[1]
        assert "does not speak TLS at this port" in refused(url(server, port, ssl_ca_certs=authority.ca))
    away = refused(url(server, port, ssl_ca_certs=authority.ca))
    assert "Is it running, is the address right?" in away


def answer_plainly(server: socket.socket) -> None:
    """As a Redis without TLS answers what is no command."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"-ERR Protocol error: expected '$'\r\n")

"""The ping to the outside, at targets that hang, flood, redirect, fail and lie: bounded, and never in the way."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from moie_worker.adapters import ping
from moie_worker.adapters.ping import Pinger, Target, send
from moie_worker.errors import MoieError
from moie_worker.plan.chain import Pulse, Station
from tests.farm import Farm, wait_until
from tests.unit.heart_kit import HeldChain
from tests.web_kit import Answer, Asked, ScriptedServer

pytestmark = pytest.mark.integration

PULSE = Pulse("heartbeat:1700000000000", 1_700_000_000_000)
SHORT = timedelta(seconds=0.5)


def said(target: Target) -> str:
    """What a ping that fails says."""
    with pytest.raises(MoieError) as caught:
        send(target, PULSE.id)
    return str(caught.value)


@contextmanager
def raw(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that takes one connection and does with it what it likes; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                serve(connection)
            except OSError:
                return  # whoever asked has gone

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/secret-uuid"
    finally:
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(("method", "body"), [("POST", PULSE.id.encode()), ("GET", b"")])
def test_a_good_target_is_told_the_id_of_the_heartbeat(method: str, body: bytes) -> None:
    with ScriptedServer(lambda _: Answer(200, b"OK")) as server:
        send(Target(f"{server.url}/uuid?rid=1", method), PULSE.id)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query, asked.body) == (method, "/uuid", {"rid": "1"}, body)


@pytest.mark.fault(21)
@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_error_is_told_with_its_number_and_without_the_secret_of_the_address(status: int) -> None:
    with ScriptedServer(lambda _: Answer(status, b"no")) as server:
        assert said(Target(f"{server.url}/secret-uuid")) == f"127.0.0.1: it answers {status}"


@pytest.mark.fault(21)
def test_no_redirect_is_followed() -> None:
    def script(asked: Asked) -> Answer:
        return Answer(302, headers={"location": f"{server.url}/private"}) if asked.path == "/a" else Answer()

    with ScriptedServer(script) as server:
        assert said(Target(f"{server.url}/a")) == "127.0.0.1: it answers 302, and redirects are not followed"
    assert [asked.path for asked in server.asked] == ["/a"]


@pytest.mark.fault(21)
def test_a_target_that_hangs_is_left_after_the_limit() -> None:
    with raw(lambda connection: time.sleep(1.5)) as url:
        began = time.monotonic()
        assert said(Target(url, limit=SHORT)) == "127.0.0.1: no answer within 0.5 s"
        assert time.monotonic() - began < 1.2


@pytest.mark.fault(21)
def test_a_target_that_sends_a_byte_now_and_then_is_left_after_the_limit() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(40):
            connection.sendall(b"a")
            time.sleep(0.1)

    with raw(drip) as url:
        began = time.monotonic()
        assert said(Target(url, limit=SHORT)) == "127.0.0.1: no answer within 0.5 s"
        assert time.monotonic() - began < 1.2


@pytest.mark.fault(21)
def test_an_answer_of_ten_megabytes_is_not_read() -> None:
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n")
        for _ in range(1000):
            sent.append(connection.send(b"x" * 10_000))

    with raw(flood) as url:
        tracemalloc.start()
        try:
            send(Target(url), PULSE.id)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 1_000_000
    assert sum(sent) < 10_000_000, "it was left before it had sent everything"


def test_a_head_without_an_end_is_not_kept() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(1000):
            connection.sendall(b"x" * 10_000)

    with raw(flood) as url:
        assert "LineTooLong" in said(Target(url))


@pytest.mark.parametrize("answer", [b"\x00\xff" * 100, b"", b"SSH-2.0-OpenSSH\r\n"])
def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    with raw(lambda connection: connection.sendall(answer)) as url:
        assert said(Target(url)).startswith("127.0.0.1: ")


def test_nobody_there_is_an_error() -> None:
    assert "refused" in said(Target("http://127.0.0.1:1/"))


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "127.0.0.1",
     "::1", "fe80::1%lo", "fd00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("93.184.216.34", address)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert said(Target("https://outside.example/uuid")) == (
        f"outside.example has the private address {address}: MOIE_PING_PRIVATE=true would allow it"
    )


def test_the_address_that_was_checked_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(socket.AF_INET, 1, 6, "", ("10.1.2.3", port))])
    said(Target("https://inside.example/uuid", private=True))
    assert asked == [("10.1.2.3", 443)]


def test_a_host_that_does_not_speak_tls_is_no_https(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        assert "SSLError" in said(Target(url.replace("http:", "https:")))


# -- beside the heartbeat -------------------------------------------------------------------------------


def test_a_ping_returns_at_once_and_another_does_not_wait_behind_it() -> None:
    chain = HeldChain()
    with raw(lambda connection: time.sleep(0.7)) as url:
        pinger = Pinger(Target(url, limit=SHORT), chain)
        began = time.monotonic()
        assert pinger.ping(PULSE)
        assert not pinger.ping(PULSE)
        assert time.monotonic() - began < 0.2
        wait_until(lambda: chain.marks, "it is written down")
    assert chain.marks == [(Station.UNANSWERED, PULSE, "127.0.0.1: no answer within 0.5 s")]


def test_after_a_failure_the_next_ping_waits_a_random_while_until_one_is_answered() -> None:
    chain, pauses = HeldChain(), list[float]()
    answers = iter([500, 500, 200, 200])

    def written(number: int) -> bool:
        return len(chain.marks) == number

    with ScriptedServer(lambda _: Answer(next(answers))) as server:
        pinger = Pinger(Target(server.url), chain, pauses.append)
        for number in range(1, 5):
            wait_until(lambda: pinger.ping(PULSE), "the one before is over")
            wait_until(partial(written, number), "it is written down")
    stations = [station for station, _, _ in chain.marks]
    assert stations == [Station.UNANSWERED, Station.UNANSWERED, Station.ANSWERED, Station.ANSWERED]
    assert len(set(pauses)) == 2
    assert all(0 <= pause <= ping.JITTER_S for pause in pauses)


@pytest.mark.fault(21)
def test_the_outside_hears_of_heartbeats_that_came_through_and_delays_none_when_it_hangs(farm: Farm) -> None:
    hang = threading.Event()

    def script(_: Asked) -> Answer:
        if hang.is_set():
            server.released.wait(4)
        return Answer()

    with ScriptedServer(script) as server:
        farm.settings |= {"MOIE_PING_URL": f"{server.url}/uuid"}
        farm.load({"id": "1", "task": "nothing", "verification_cmd": "true"})
        farm.worker()
        farm.beat()
        wait_until(lambda: len(server.asked) >= 3, "the outside hears")
        ids = [asked.body.decode() for asked in server.asked]
        assert len(ids) == len(set(ids))
        assert all(one.startswith("heartbeat:") for one in ids)
        hang.set()
        beats = len(farm.journal("heartbeat"))
        took = wait_until(lambda: len(farm.journal("heartbeat")) >= beats + 6, "heartbeats go on")
        assert took < 9

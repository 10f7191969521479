"""The http action against a real server on loopback."""

import gzip
import json
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.actions.http import HttpAction, missing_parts
from moie_worker.adapters.clock import SystemClock
from moie_worker.plan.states import Outcome
from moie_worker.ports import Evidence
from tests.web_kit import Answer, Asked, Bench, ScriptedServer, bench

STATE = {"status": "ok", "queue": {"depth": 3, "names": ["a", "b"]}, "ready": True}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.timeout = timedelta(seconds=20)
        yield made


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda asked: Answer(200, json.dumps(STATE).encode())) as running:
        yield running


def get(table: Bench, url: str, **params: Any) -> Evidence:
    return HttpAction().run(table.context({"url": url, **params}))


def test_an_expected_answer_passes_with_its_evidence(table: Bench, server: ScriptedServer) -> None:
    evidence = get(table, f"{server.url}/health?token=secret")
    assert evidence.outcome is Outcome.PASSED
    assert evidence.message.startswith(f"GET {server.url}/health: status 200 in ")
    assert "secret" not in evidence.message + str(evidence.detail)
    assert json.loads(evidence.head) == STATE
    assert evidence.output_bytes == len(json.dumps(STATE))
    assert (evidence.detail["status"], evidence.detail["truncated"]) == (200, False)


def test_the_request_goes_out_as_written(table: Bench, server: ScriptedServer) -> None:
    get(table, f"{server.url}/x", method="put", headers={"X-Key": "v"}, body={"a": 1})
    get(table, f"{server.url}/x", method="POST", body="plain")
    first, second = server.asked
    assert (first.method, first.path, first.headers["x-key"]) == ("PUT", "/x", "v")
    assert (json.loads(first.body), first.headers["content-type"]) == ({"a": 1}, "application/json")
    assert (second.method, second.body) == ("POST", b"plain")


@pytest.mark.parametrize(
    "expect",
    [
        {"status": 200},
        {"status": [404, 200]},
        {"contains": "depth"},
        {"contains": ["depth", "ok"]},
        {"regex": r'"depth":\s*\d+'},
        {"json": {"status": "ok", "queue": {"depth": 3}}},
        {"latency_below": "1h"},
    ],
)
def test_expectations_that_hold(table: Bench, server: ScriptedServer, expect: dict[str, Any]) -> None:
    assert get(table, server.url, expect=expect).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ({"status": 204}, "status 200, expected 204"),
        ({"status": [201, 202]}, "status 200, expected 201 or 202"),
        ({"contains": "width"}, '"width" is not in the body'),
        ({"regex": "^depth"}, "nothing in the body matches ^depth"),
        ({"json": {"status": "bad"}}, '$.status is "ok", expected "bad"'),
        ({"json": {"queue": {"age": 1}}}, "$.queue.age is missing"),
        ({"json": {"ready": 1}}, "$.ready is true, expected 1"),
        ({"json": {"status": {"a": 1}}}, "$.status is not an object"),
        ({"json": {"queue": {"names": ["a"]}}}, "$.queue.names is"),
        ({"status": 500, "contains": "width"}, "status 200, expected 500; "),
    ],
)
def test_expectations_that_do_not(table: Bench, server: ScriptedServer, expect: dict[str, Any], told: str) -> None:
    evidence = get(table, server.url, expect=expect)
    assert evidence.outcome is Outcome.FAILED
    assert told in evidence.message


def test_any_other_status_than_success_fails_by_default(table: Bench) -> None:
    for status in (301, 404, 503):
        with ScriptedServer(lambda asked, status=status: Answer(status)) as server:  # type: ignore[misc]
            evidence = get(table, server.url)
        assert (evidence.outcome, f"status {status}, expected 200 to 299" in evidence.message) == (Outcome.FAILED, True)


def test_a_slow_answer_misses_its_latency(table: Bench) -> None:
    def slow(asked: Asked) -> Answer:
        table.clock.advance(timedelta(seconds=2))
        return Answer(200)

    with ScriptedServer(slow) as server:
        evidence = get(table, server.url, expect={"latency_below": "2s"})
        assert "took 2000 ms, expected less than 2s" in evidence.message
        assert get(table, server.url, expect={"latency_below": "3s"}).outcome is Outcome.PASSED


def test_redirects_are_followed_only_when_asked(table: Bench) -> None:
    def script(asked: Asked) -> Answer:
        return Answer(200, b"there") if asked.path == "/there" else Answer(302, b"", {"location": "/there"})

    with ScriptedServer(script) as server:
        assert "status 302" in get(table, server.url).message
        followed = get(table, server.url, follow=True)
        assert (followed.outcome, followed.detail["address"]) == (Outcome.PASSED, f"{server.url}/there")
    with ScriptedServer(lambda asked: Answer(302, b"", {"location": "/"})) as server:
        assert get(table, server.url, follow=True).outcome is Outcome.FAILED


def test_a_large_body_is_cut_and_not_kept(table: Bench) -> None:
    with ScriptedServer(lambda asked: Answer(200, b"x" * 70_000 + b"end")) as server:
        evidence = get(table, server.url, expect={"contains": "end"})
        assert "not in the first 65536 bytes of the body" in evidence.message
        assert (evidence.output_bytes, evidence.detail["truncated"], len(evidence.head)) == (65536, True, 4096)
        assert "too long to be read as JSON" in get(table, server.url, expect={"json": {"a": 1}}).message


def test_a_compressed_body_is_bounded_too(table: Bench) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with ScriptedServer(lambda asked: Answer(200, bomb, {"content-encoding": "gzip"})) as server:
        evidence = get(table, server.url)
        assert (evidence.output_bytes, evidence.detail["truncated"]) == (65536, True)
    with ScriptedServer(lambda asked: Answer(200, b"plain", {"content-encoding": "gzip"})) as server:
        assert "says gzip and is not" in get(table, server.url).message
    with ScriptedServer(lambda asked: Answer(200, gzip.compress(b"small"), {"content-encoding": "gzip"})) as server:
        assert get(table, server.url).head == "small"


def test_what_is_shown_has_no_control_characters(table: Bench) -> None:
    with ScriptedServer(lambda asked: Answer(200, b"\x1b[2J\x00\xff\r\nok")) as server:
        head = get(table, server.url).head
    assert head == "\ufffd[2J\ufffd\ufffd\nok"


def test_nobody_there_fails_with_the_reason(table: Bench) -> None:
    with ScriptedServer(lambda asked: Answer()) as server:
        gone = server.url
    evidence = get(table, gone)
    assert (evidence.outcome, evidence.message) == (Outcome.FAILED, f"{gone}: cannot connect: Connection refused")


def test_a_name_that_does_not_exist_fails_with_the_reason(table: Bench) -> None:
    evidence = get(table, "http://user:pw@no-such-host.invalid/a?b=c")
    assert evidence.outcome is Outcome.FAILED
    assert evidence.message.startswith("http://no-such-host.invalid/a: cannot connect: ")


def test_an_address_that_cannot_be_asked_is_broken(table: Bench) -> None:
    for url in ("http://[::1/", "http://xn--a\u2603/"):
        evidence = get(table, url)
        assert evidence.outcome is Outcome.BROKEN, evidence.message


def test_no_http_on_the_other_side_fails(table: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        evidence = get(table, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert evidence.outcome is Outcome.FAILED
    assert "broke off" in evidence.message


def test_a_certificate_nobody_vouches_for_fails(table: Bench, server: ScriptedServer) -> None:
    evidence = get(table, server.url.replace("http:", "https:"))
    assert evidence.outcome is Outcome.FAILED
    assert "cannot connect" in evidence.message


def test_the_time_limit_holds_for_the_whole_exchange(table: Bench) -> None:
    table.timeout = timedelta(milliseconds=300)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not over.wait(0.02):  # a byte now and then: no single read is ever late
                    try:
                        connection.sendall(b"y")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        clock = SystemClock()
        started = clock.monotonic()
        evidence = get(table, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        took = clock.monotonic() - started
        over.set()
        thread.join()
    assert evidence.outcome is Outcome.TIMED_OUT
    assert "no complete answer within 0.3 s" in evidence.message
    assert took < 5


def test_a_stop_ends_the_exchange(table: Bench) -> None:
    waiting: list[ScriptedServer] = []

    def never(asked: Asked) -> Answer:
        table.stop.set("cancelled by ops")
        waiting[0].released.wait(30)
        return Answer()

    with ScriptedServer(never) as server:
        waiting.append(server)
        evidence = get(table, server.url)
    assert evidence.outcome is Outcome.CANCELLED
    assert "cancelled by ops" in evidence.message


def test_a_missing_extra_is_named(table: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    evidence = get(table, "http://127.0.0.1:1/")
    assert (evidence.outcome, 'pip install "moie-worker[http]"' in evidence.message) == (Outcome.BROKEN, True)


def test_bad_parameters_are_broken(table: Bench) -> None:
    assert get(table, "http://127.0.0.1/", exspect={}).outcome is Outcome.BROKEN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_every_value_holds_itself(value: Any) -> None:
    assert list(missing_parts(value, value, "$")) == []


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_an_object_holds_what_it_was_made_from(part: dict[str, Any], more: dict[str, Any]) -> None:
    assert list(missing_parts(part, {**more, **part}, "$")) == []

"""The arXiv scan against recorded answers of the real service, served over HTTP on loopback."""

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from moie_worker.actions.arxiv_feed import parse_feed
from moie_worker.actions.arxiv_scan import ArxivScanAction
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.notebook import RedisNotebook
from moie_worker.plan.states import Outcome
from moie_worker.ports import Evidence
from tests.web_kit import Answer, Asked, Bench, ScriptedServer, bench

FEEDS = Path(__file__).parent.parent / "data" / "arxiv"
PAGE_1 = (FEEDS / "api2026_testing_p1.xml").read_bytes()
PAGE_2 = (FEEDS / "api2026_testing_p2.xml").read_bytes()
HUNDRED = (FEEDS / "api2026_testing_100.xml").read_bytes()
EMPTY = (FEEDS / "api2026_empty.xml").read_bytes()
ERROR = (FEEDS / "api2026_error_400.xml").read_bytes()
BUSY = (FEEDS / "api_429.txt").read_bytes()
OLD_ID = (FEEDS / "api2026_oldid_affiliation.xml").read_bytes()
OLD_FORMAT = (FEEDS / "api2025_oldformat_cs_RO.xml").read_bytes()
RSS = (FEEDS / "rss2025_csAI_atom.xml").read_bytes()

Serve = Callable[..., ScriptedServer]


@pytest.fixture(params=["memory", "redis"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A bench with either notebook."""
    if request.param == "memory":
        with bench(tmp_path) as made:
            yield made
        return
    with (
        redis.Redis.from_url(request.getfixturevalue("redis_url"), decode_responses=True) as client,
        bench(tmp_path, RedisNotebook(client, Keys("test"))) as made,
    ):
        yield made


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose every wait is exact."""
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers that give these answers in order, the last one for ever, or answer by a function."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: list[ScriptedServer] = []

    def start(*answers: Answer | bytes | Callable[[Asked], Answer]) -> ScriptedServer:
        left = list(answers)

        def script(asked: Asked) -> Answer:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, bytes):
                return Answer(200, answer, {"content-type": "application/atom+xml"})
            return answer(asked) if callable(answer) else answer

        running.append(ScriptedServer(script).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


def by_start(asked: Asked) -> Answer:
    """Two pages of ten, as the service gives them for `start` 0 and 10; nothing behind, whatever it claims."""
    return Answer(200, {"0": PAGE_1, "10": PAGE_2}.get(asked.query["start"], EMPTY))


def scan(table: Bench, server: ScriptedServer | str, **params: Any) -> Evidence:
    address = server if isinstance(server, str) else f"{server.url}/api/query"
    return ArxivScanAction().run(table.context({"query": "all:testing", "address": address, **params}))


def test_what_is_new_is_reported_once(table: Bench, serve: Serve) -> None:
    server = serve(HUNDRED)
    first = scan(table, server)
    assert first.outcome is Outcome.PASSED, first.message
    assert (first.detail["seen"], first.detail["new"], first.detail["updated"]) == (100, 100, 0)
    assert (first.detail["pages"], first.detail["total"], first.detail["unread"]) == (1, 214881, 0)
    second = scan(table, server)
    assert (second.outcome, second.detail["new"], second.detail["updated"]) == (Outcome.PASSED, 0, 0)
    assert second.message == "nothing new among 100 papers"


def test_a_later_page_adds_only_its_own(table: Bench, serve: Serve) -> None:
    server = serve(by_start)
    assert scan(table, server, max_results=10, page_size=10).detail["new"] == 10
    both = scan(table, server, max_results=20, page_size=10)
    assert (both.detail["seen"], both.detail["new"], both.detail["pages"]) == (20, 10, 2)
    assert len(table.notebook.published("arxiv:5.1", table.clock.now() - timedelta(days=3650))) == 20


def test_the_request_is_what_the_service_expects(alone: Bench, serve: Serve) -> None:
    server = serve(by_start)
    scan(alone, server, max_results=15, page_size=10, query='cat:gr-qc AND "time reversal"')
    first, second = server.asked
    assert first.query == {
        "search_query": 'cat:gr-qc AND "time reversal"',
        "start": "0",
        "max_results": "10",
        "sortBy": "lastUpdatedDate",
        "sortOrder": "descending",
    }
    assert (second.query["start"], second.query["max_results"]) == ("10", "5")
    assert first.headers["user-agent"].startswith("moie-worker")


def test_three_seconds_lie_between_requests_of_all_jobs_together(alone: Bench, serve: Serve) -> None:
    server = serve(by_start)
    scan(alone, server, max_results=20, page_size=10)
    assert alone.pause.waited == [3.0]
    ArxivScanAction().run(alone.context({"query": "x", "address": f"{server.url}/other", "max_results": 1}, "5.2"))
    assert alone.pause.waited == [3.0, 3.0]


def test_one_connection_is_held_at_a_time(alone: Bench, serve: Serve) -> None:
    server = serve(PAGE_1)
    host = server.url.removeprefix("http://")
    with alone.notebook.exclusive(f"arxiv@{host}", timedelta(seconds=5)):
        assert scan(alone, server, max_results=10).outcome is Outcome.PASSED
    assert alone.pause.waited == [1.0] * 5


def test_claims_beyond_what_paging_gives_end_at_an_empty_page_asked_for_twice(alone: Bench, serve: Serve) -> None:
    server = serve(by_start)
    evidence = scan(alone, server, max_results=100, page_size=10)
    assert (evidence.outcome, evidence.detail["seen"], evidence.detail["new"]) == (Outcome.PASSED, 20, 20)
    assert [asked.query["start"] for asked in server.asked] == ["0", "10", "20"]


def test_an_empty_page_that_is_a_hiccup_is_asked_for_again(alone: Bench, serve: Serve) -> None:
    hiccup = EMPTY.replace(b"totalResults>0<", b"totalResults>214881<")
    server = serve(hiccup, PAGE_1)
    assert scan(alone, server, max_results=10).detail["new"] == 10


def test_a_service_that_claims_papers_and_gives_none_was_not_read(alone: Bench, serve: Serve) -> None:
    server = serve(EMPTY.replace(b"totalResults>0<", b"totalResults>214881<"))
    empty = scan(alone, server, max_results=10)
    assert (empty.outcome, len(server.asked)) == (Outcome.FAILED, 2)
    assert "claims 214,881 papers and gives none" in empty.message


def test_a_short_page_is_asked_for_again_and_the_longer_one_counts(alone: Bench, serve: Serve) -> None:
    assert scan(alone, serve(PAGE_1, HUNDRED), max_results=100).detail["new"] == 100
    assert scan(alone, serve(PAGE_1, EMPTY, EMPTY, EMPTY), max_results=100).detail["seen"] == 10


def test_a_query_that_finds_nothing_passes(table: Bench, serve: Serve) -> None:
    evidence = scan(table, serve(EMPTY))
    assert (evidence.outcome, evidence.message) == (Outcome.PASSED, "nothing new among 0 papers")
    assert not (table.data_dir / "digests").exists()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_service_is_waited_out_with_growing_pauses(alone: Bench, serve: Serve, status: int) -> None:
    busy = Answer(status, BUSY)
    evidence = scan(alone, serve(busy, busy, busy, HUNDRED))
    assert (evidence.outcome, evidence.detail["new"]) == (Outcome.PASSED, 100)
    assert alone.pause.waited == [5.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("42", 42.0),
        ("Fri, 20 Nov 2026 12:01:40 GMT", 100.0),
        ("0", 3.0),
        ("Fri, 20 Nov 2015 12:01:40 GMT", 3.0),
        ("soon", 5.0),
        ("99999", 900.0),
    ],
)
def test_retry_after_is_obeyed_within_bounds(alone: Bench, serve: Serve, header: str, waited: float) -> None:
    alone.timeout = timedelta(hours=1)
    evidence = scan(alone, serve(Answer(503, b"", {"retry-after": header}), HUNDRED))
    assert evidence.outcome is Outcome.PASSED
    assert alone.pause.waited == [waited]


def test_waiting_ends_with_the_time_limit_and_says_so(alone: Bench, serve: Serve) -> None:
    alone.timeout = timedelta(minutes=1)
    evidence = scan(alone, serve(Answer(429, BUSY)))
    assert evidence.outcome is Outcome.FAILED
    assert "status 429" in evidence.message
    assert "would pass the time limit of 0:01:00" in evidence.message
    assert sum(alone.pause.waited) < 60


def test_a_stop_ends_the_waiting(alone: Bench, serve: Serve) -> None:
    def busy(asked: Asked) -> Answer:
        alone.stop.set("cancelled by ops")
        return Answer(429, BUSY)

    evidence = scan(alone, serve(busy))
    assert evidence.outcome is Outcome.CANCELLED
    assert "cancelled by ops" in evidence.message


@pytest.mark.parametrize("status", [400, 200])
def test_an_error_feed_is_an_error_and_never_a_paper(table: Bench, serve: Serve, status: int) -> None:
    evidence = scan(table, serve(Answer(status, ERROR)))
    assert evidence.outcome is Outcome.FAILED
    assert "incorrect id format for abc" in evidence.message
    assert table.notebook.published("arxiv:5.1", table.clock.now() - timedelta(days=3650)) == []


def test_a_refusal_without_a_feed_is_told_with_its_first_words(alone: Bench, serve: Serve) -> None:
    evidence = scan(alone, serve(Answer(403, b"<html>go away</html>")))
    assert evidence.outcome is Outcome.FAILED
    assert "status 403: <html>go away</html>" in evidence.message


def test_a_redirect_is_named_and_not_followed(alone: Bench, serve: Serve) -> None:
    server = serve(Answer(301, b"", {"location": "https://export.arxiv.org/api/query?search_query=x"}))
    evidence = scan(alone, server)
    assert "moved to https://export.arxiv.org/api/query: set `address`" in evidence.message
    assert len(server.asked) == 1


def test_an_rss_feed_is_refused_clearly(alone: Bench, serve: Serve) -> None:
    evidence = scan(alone, serve(RSS))
    assert evidence.outcome is Outcome.FAILED
    assert "not an answer of the arXiv API (RSS feeds are none)" in evidence.message
    assert "https://export.arxiv.org/api/query" in evidence.message


@pytest.mark.parametrize("body", [PAGE_1[:9000], b"<html><body>maintenance", b"", BUSY])
def test_half_an_answer_is_asked_for_again(alone: Bench, serve: Serve, body: bytes) -> None:
    assert scan(alone, serve(body, PAGE_1), max_results=10).detail["new"] == 10
    assert alone.pause.waited == [5.0]


def test_an_answer_that_stays_broken_fails(alone: Bench, serve: Serve) -> None:
    server = serve(b"<!DOCTYPE html><html>maintenance</html>")
    evidence = scan(alone, server)
    assert evidence.outcome is Outcome.FAILED
    assert "not a feed" in evidence.message
    assert len(server.asked) == 3


def test_an_address_that_nobody_serves_fails_with_the_reason(alone: Bench, serve: Serve) -> None:
    with ScriptedServer(lambda asked: Answer()) as server:
        gone = server.url
    evidence = scan(alone, gone)
    assert evidence.outcome is Outcome.FAILED
    assert "cannot connect" in evidence.message
    assert "refused" in evidence.message.lower()


def test_a_name_that_does_not_exist_fails_with_the_reason(alone: Bench, serve: Serve) -> None:
    evidence = scan(alone, "http://no-such-host.invalid/api/query")
    assert evidence.outcome is Outcome.FAILED
    assert "http://no-such-host.invalid/api/query: cannot connect" in evidence.message


def test_a_new_version_is_an_update_and_an_older_one_is_nothing(table: Bench, serve: Serve) -> None:
    newer = PAGE_1.replace(b"abs/2202.12139v1", b"abs/2202.12139v4")
    assert scan(table, serve(PAGE_1), max_results=10).detail["new"] == 10
    update = scan(table, serve(newer), max_results=10)
    assert (update.detail["new"], update.detail["updated"]) == (0, 1)
    assert update.detail["top"][0]["url"] == "https://arxiv.org/abs/2202.12139v4"
    assert scan(table, serve(PAGE_1), max_results=10).detail["updated"] == 0


def test_a_paper_that_moves_between_pages_is_taken_once_in_its_highest_version(alone: Bench, serve: Serve) -> None:
    newer = PAGE_1.replace(b"abs/2202.12139v1", b"abs/2202.12139v4")
    evidence = scan(alone, serve(newer, PAGE_1, PAGE_1), max_results=20, page_size=10)
    assert (evidence.detail["seen"], evidence.detail["new"]) == (20, 10)
    published = alone.notebook.published("arxiv:5.1", alone.clock.now() - timedelta(days=1))
    assert [fields["version"] for _, fields in published if fields["key"] == "2202.12139"] == ["4"]


def test_the_stream_ends_with_the_newest_and_its_cap_drops_the_oldest(table: Bench, serve: Serve) -> None:
    scan(table, serve(PAGE_1), max_results=10, keep=4)
    published = table.notebook.published("arxiv:5.1", table.clock.now() - timedelta(days=3650))
    newest_first = [paper.id for paper in parse_feed(PAGE_1).papers]
    assert [fields["key"] for _, fields in reversed(published)] == newest_first[:4]


def test_an_answer_that_does_not_come_is_timed_out(alone: Bench, serve: Serve) -> None:
    alone.timeout = timedelta(seconds=0.3)

    def never(asked: Asked) -> Answer:
        alone.clock.advance(timedelta(seconds=1))
        server.released.wait(30)
        return Answer()

    server = serve(never)
    evidence = scan(alone, server)
    server.released.set()
    assert evidence.outcome is Outcome.TIMED_OUT
    assert "no complete answer within 0.3 s" in evidence.message


def test_an_endless_answer_is_not_read_to_its_end(alone: Bench, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moie_worker.actions.arxiv_client.BODY_LIMIT", 10_000)
    evidence = scan(alone, serve(HUNDRED))
    assert evidence.outcome is Outcome.FAILED
    assert "use a smaller page_size" in evidence.message


def test_old_ids_and_older_formats_are_read(table: Bench, serve: Serve) -> None:
    assert scan(table, serve(OLD_ID)).detail["top"][0]["id"] == "astro-ph/0601001"
    assert scan(table, serve(OLD_FORMAT), max_results=2).detail["new"] == 2


def test_keywords_rank_what_is_new(alone: Bench, serve: Serve) -> None:
    evidence = scan(alone, serve(HUNDRED), keywords={"metamorphic testing": 5, "quantum": 3, "survey": -2})
    top = evidence.detail["top"]
    assert len(top) == 10
    assert [paper["score"] for paper in top] == sorted((paper["score"] for paper in top), reverse=True)
    assert "etamorphic" in top[0]["title"]


def test_the_digest_is_written_and_the_same_when_written_again(table: Bench, serve: Serve) -> None:
    server = serve(PAGE_1)
    written = scan(table, server, max_results=10).detail["digest"]
    (path,) = (table.data_dir / "digests" / "5.1").iterdir()
    assert written == [str(path)]
    text = path.read_text(encoding="utf-8")
    assert text.count("\n## ") == 10
    assert "José Raúl Romero" in text
    assert "https://arxiv.org/abs/2005.14124v2" in text
    scan(table, server, max_results=10)
    assert path.read_text(encoding="utf-8") == text
    path.unlink()
    scan(table, server, max_results=10)
    assert path.read_text(encoding="utf-8") == text


def test_a_day_whose_run_died_before_its_digest_gets_it_the_next_day(alone: Bench, serve: Serve) -> None:
    server = serve(PAGE_1, PAGE_1, PAGE_2)
    scan(alone, server, max_results=10, digest=False)
    alone.clock.advance(timedelta(days=1))
    scan(alone, server, max_results=10)
    folder = alone.data_dir / "digests" / "5.1"
    assert [path.name for path in folder.iterdir()] == ["2026-11-20.md"]
    scan(alone, server, max_results=10)
    assert sorted(path.name for path in folder.iterdir()) == ["2026-11-20.md", "2026-11-21.md"]


def test_a_digest_of_yesterday_is_left_as_it_is(alone: Bench, serve: Serve) -> None:
    server = serve(PAGE_1, PAGE_2)
    scan(alone, server, max_results=10)
    yesterday = alone.data_dir / "digests" / "5.1" / "2026-11-20.md"
    yesterday.write_text("with notes of my own")
    alone.clock.advance(timedelta(days=1))
    (written,) = scan(alone, server, max_results=10).detail["digest"]
    assert written.endswith("2026-11-21.md")
    assert yesterday.read_text() == "with notes of my own"


def test_a_digest_that_cannot_be_written_is_a_failure_and_the_papers_stay_published(alone: Bench, serve: Serve) -> None:
    (alone.data_dir / "digests").write_text("in the way")
    evidence = scan(alone, serve(PAGE_1), max_results=10)
    assert evidence.outcome is Outcome.FAILED
    assert "published, but the digest cannot be written" in evidence.message
    assert len(alone.notebook.published("arxiv:5.1", alone.clock.now() - timedelta(days=1))) == 10
    (alone.data_dir / "digests").unlink()
    assert scan(alone, serve(PAGE_1), max_results=10).outcome is Outcome.PASSED
    assert (alone.data_dir / "digests" / "5.1" / "2026-11-20.md").read_text().count("\n## ") == 10


def test_jobs_remember_apart(table: Bench, serve: Serve) -> None:
    server = serve(PAGE_1)
    params = {"query": "x", "address": server.url, "max_results": 10}
    for job in ("5.1", "5.2"):
        assert ArxivScanAction().run(table.context(params, job)).detail["new"] == 10


def test_bad_parameters_are_broken(alone: Bench) -> None:
    evidence = scan(alone, "ftp://export.arxiv.org")
    assert (evidence.outcome, "address" in evidence.message) == (Outcome.BROKEN, True)


@pytest.mark.parametrize("library", ["httpx", "feedparser"])
def test_a_missing_extra_is_named(alone: Bench, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    evidence = scan(alone, "http://127.0.0.1:1/")
    assert evidence.outcome is Outcome.BROKEN
    assert f'{library} not installed: pip install "moie-worker[arxiv]"' in evidence.message

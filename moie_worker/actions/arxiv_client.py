"""Asks the arXiv API by its etiquette: one connection, three seconds between requests, patience when it is busy."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlencode, urlsplit

from moie_worker.actions.arxiv_feed import FeedError, Page, Paper, error_of, parse_feed
from moie_worker.actions.web import Reply, Request, StoppedError, TimeUpError, exchange, shown
from moie_worker.plan.backoff import ceiling
from moie_worker.plan.texts import one_line
from moie_worker.ports import ActionContext

INTERVAL = timedelta(seconds=3)  # between requests, of all workers together
REQUEST_LIMIT = timedelta(seconds=150)  # a refusal has been seen to take two minutes
BACKOFF = (timedelta(seconds=5), 2.0, timedelta(minutes=2))  # base, factor, cap
LONGEST_WAIT = timedelta(minutes=15)  # whatever Retry-After says
BODY_LIMIT = 32 * 1024 * 1024
PASSING_TRIES = 3  # for answers that are no whole feed
BUSY = 429
LOCK_POLL = timedelta(seconds=1)


class ScanError(Exception):
    """The scan cannot go on; the text says why."""


class OutOfTimeError(ScanError):
    """Going on would take longer than the job's time limit."""


def agent() -> str:
    """The User-Agent: who asks."""
    try:
        return f"moie-worker/{version('moie-worker')}"
    except PackageNotFoundError:
        return "moie-worker"


@dataclass(frozen=True, slots=True)
class Search:
    """What to ask for. `sort` is submittedDate or lastUpdatedDate, the newest first."""

    address: str
    query: str
    max_results: int
    page_size: int
    sort: str

    def url(self, start: int, count: int) -> str:
        """The address of one page."""
        asked = {
            "search_query": self.query,
            "start": start,
            "max_results": count,
            "sortBy": self.sort,
            "sortOrder": "descending",
        }
        return f"{self.address}{'&' if urlsplit(self.address).query else '?'}{urlencode(asked)}"


@dataclass(slots=True)
class Found:
    """What a search has brought so far."""

    papers: dict[str, Paper] = field(default_factory=dict)  # by id; the highest version
    seen: int = 0  # entries, papers that came twice among them
    unread: int = 0  # entries that are no papers
    pages: int = 0
    total: int = 0  # what the service claims to have

    def add(self, page: Page) -> None:
        """Take a page; papers move between pages while one reads, so that some come twice."""
        self.seen += page.entries
        self.unread += page.entries - len(page.papers)
        self.pages += 1
        self.total = page.total
        for paper in page.papers:
            known = self.papers.get(paper.id)
            if known is None or known.version < paper.version:
                self.papers[paper.id] = paper


class Client:
    """One search within the time limit of a job."""

    def __init__(self, context: ActionContext, search: Search) -> None:
        self._context = context
        self._search = search
        self._ends = context.clock.monotonic() + context.command.timeout.total_seconds()
        self._topic = f"arxiv@{urlsplit(search.address).netloc.rpartition('@')[2]}"
        self._agent = agent()

    def all(self) -> Found:
        """Read page after page; ScanError or WebError when it cannot be brought to its end."""
        found, start, search = Found(), 0, self._search
        while start < search.max_results:
            count = min(search.page_size, search.max_results - start)
            page = self._page_or_again(start, count)
            if page.entries == 0:
                self._refuse_none_of_many(found, page)
                found.total = max(found.total, page.total)
                break
            found.add(page)
            start += page.entries
            if start >= page.total:
                break
        return found

    def _refuse_none_of_many(self, found: Found, page: Page) -> None:
        """Further on the service claims more than it gives; where it gives nothing at all, something is wrong there."""
        if not found.pages and page.total:
            raise ScanError(f"{shown(self._search.address)}: claims {page.total:,} papers and gives none: try later")

    def _page_or_again(self, start: int, count: int) -> Page:
        """A page that is shorter than the service's own total promises is asked for once more."""
        page = self._page(start, count)
        if page.entries < min(count, page.total - start):
            again = self._page(start, count)
            return again if again.entries >= page.entries else page
        return page

    def _page(self, start: int, count: int) -> Page:
        for attempt in range(1, PASSING_TRIES + 1):
            try:
                return parse_feed(self._answer(self._search.url(start, count)).body)
            except FeedError as error:
                if not error.passing or attempt == PASSING_TRIES:
                    raise ScanError(f"{shown(self._search.address)}: {error}") from error
                self._wait(ceiling(attempt, *BACKOFF), str(error))
        raise AssertionError("the last try returns or raises")

    def _answer(self, url: str) -> Reply:
        """An answer of status 200; busy and failing servers are waited out."""
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = self._in_turn(url)
            except TimeUpError as error:
                if self._left() <= timedelta(0):
                    raise
                self._wait(ceiling(attempt, *BACKOFF), str(error))
                continue
            if reply.status == 200:
                return _whole(reply)
            if reply.status != BUSY and reply.status < 500:
                raise ScanError(_refusal(reply))
            self._wait(self._pause_after(reply, attempt), f"{reply.address}: status {reply.status}")

    def _in_turn(self, url: str) -> Reply:
        """One request, while nobody else makes one."""
        limit = min(REQUEST_LIMIT, self._left())
        while True:
            with self._context.notebook.exclusive(self._topic, limit + INTERVAL + timedelta(seconds=5)) as alone:
                if alone:
                    self._wait(self._context.notebook.turn(self._topic, INTERVAL), "its turn")
                    return self._exchange(url)
            self._wait(LOCK_POLL, "another scan that holds the one connection")

    def _exchange(self, url: str) -> Reply:
        limit = min(REQUEST_LIMIT, self._left())
        if limit <= timedelta(0):
            raise OutOfTimeError("the time limit is over")
        headers = {"user-agent": self._agent, "accept": "application/atom+xml"}
        request = Request(url, limit.total_seconds(), headers=headers, body_limit=BODY_LIMIT)
        return exchange(request, self._context.stop, self._context.clock)

    def _pause_after(self, reply: Reply, attempt: int) -> timedelta:
        asked = retry_after(reply.headers.get("retry-after", ""), self._context.clock.now())
        return ceiling(attempt, *BACKOFF) if asked is None else asked

    def _left(self) -> timedelta:
        return timedelta(seconds=self._ends - self._context.clock.monotonic())

    def _wait(self, span: timedelta, reason: str) -> None:
        if span >= self._left():
            limit = self._context.command.timeout
            raise OutOfTimeError(f"{reason}; waiting {span.total_seconds():.3g} s would pass the time limit of {limit}")
        if span > timedelta(0) and not self._context.pause(span.total_seconds()):
            raise StoppedError(f"stopped: {self._context.stop.reason}")


def retry_after(header: str, now: datetime) -> timedelta | None:
    """How long a server asks us to wait, within what is polite and bearable; None when it does not say."""
    text = header.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        asked = timedelta(seconds=float(text))
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        asked = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(asked, INTERVAL), LONGEST_WAIT)


def _whole(reply: Reply) -> Reply:
    if reply.truncated:
        raise ScanError(f"{reply.address}: the answer is longer than {BODY_LIMIT} bytes: use a smaller page_size")
    return reply


def _refusal(reply: Reply) -> str:
    if 300 <= reply.status < 400:
        target = shown(reply.headers.get("location", ""))
        return f"{reply.address}: status {reply.status}, moved to {target}: set `address` to it"
    reason = error_of(reply.body) or one_line(reply.body[:300].decode("utf-8", "replace"), 200)
    return f"{reply.address}: status {reply.status}: {reason}"

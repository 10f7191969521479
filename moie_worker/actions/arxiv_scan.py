"""The action `arxiv_scan`: what is new on arXiv for a query, told once, ranked, published and written down."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from moie_worker.actions.arxiv_client import Client, Found, ScanError, Search
from moie_worker.actions.arxiv_digest import Ranking, by_day, path_of, render, write_whole
from moie_worker.actions.http import WebAddress, outcome_of
from moie_worker.actions.params import BadParamsError, Params, parse, problems
from moie_worker.actions.web import WebError
from moie_worker.plan.states import Outcome
from moie_worker.plan.texts import one_line
from moie_worker.ports import ActionContext, Evidence, Item

ADDRESS = "https://export.arxiv.org/api/query"
LIBRARIES = ("httpx", "feedparser")
TOP = 10
CHUNK = 200  # items a call, so that Redis answers others in between


def _query(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty: write a query such as cat:gr-qc OR all:wormhole")
    return text


def _phrase(text: str) -> str:
    if not re.search(r"\w", text):
        raise ValueError("is a keyword without a letter or digit")
    return text


def _finite(weight: float) -> float:
    if not math.isfinite(weight):
        raise ValueError("is not a weight: write a number, below zero to push papers down")
    return weight


Phrase = Annotated[str, Field(max_length=200), AfterValidator(_phrase)]
Weight = Annotated[float, Field(strict=True), AfterValidator(_finite)]


class ArxivParams(Params):
    """What to look for, and what to keep of it."""

    query: Annotated[str, Field(strict=True, max_length=4000), AfterValidator(_query)]  # the API's search_query
    max_results: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 100
    page_size: Annotated[int, Field(strict=True, ge=1, le=2000)] = 100
    address: WebAddress = ADDRESS
    sort: Literal["lastUpdatedDate", "submittedDate"] = "lastUpdatedDate"  # only the first one finds new versions
    keywords: dict[Phrase, Weight] = Field(default_factory=dict, max_length=500)
    keep: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 1000  # entries of the stream
    digest: Annotated[bool, Field(strict=True)] = True


class ArxivScanAction:
    """Passed when the query was read as far as the service gives it, whether or not something is new."""

    def check(self, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Problems of `with`."""
        yield from problems(ArxivParams, params)

    def run(self, context: ActionContext) -> Evidence:
        """Search, publish what is new, write the digest. What was published is not lost when the digest fails."""
        started = context.clock.monotonic()
        outcome, message, detail = _scan(context)
        took = context.clock.monotonic() - started
        return Evidence(outcome, one_line(message, 1000), duration_s=took, detail=detail)


Result = tuple[Outcome, str, dict[str, Any]]


def _scan(context: ActionContext) -> Result:
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        return Outcome.BROKEN, f'{" and ".join(missing)} not installed: pip install "moie-worker[arxiv]"', {}
    try:
        params = parse(ArxivParams, context.params)
        found = Client(context, _search(params)).all()
    except BadParamsError as error:
        return Outcome.BROKEN, f"arxiv_scan: {error}", {}
    except ScanError as error:
        return Outcome.FAILED, str(error), {}
    except WebError as error:
        return outcome_of(error), str(error), {}
    fresh = _publish(context, found, params.keep)
    detail = _detail(params, found, fresh)
    if params.digest:
        try:
            detail["digest"] = [str(path) for path in _write_digests(context, params)]
        except OSError as error:
            return Outcome.FAILED, f"{_told(detail)}; published, but the digest cannot be written: {error}", detail
    return Outcome.PASSED, _told(detail), detail


def _search(params: ArxivParams) -> Search:
    return Search(params.address, params.query, params.max_results, params.page_size, params.sort)


def _topic(context: ActionContext) -> str:
    return f"arxiv:{context.job}"


def _publish(context: ActionContext, found: Found, keep: int) -> list[Item]:
    """The new ones, oldest first, as they stand in the stream: its cap drops the oldest."""
    items = [Item(paper.id, paper.version, paper.fields()) for paper in reversed(found.papers.values())]
    fresh: list[Item] = []
    for first in range(0, len(items), CHUNK):
        fresh += context.notebook.publish_new(_topic(context), items[first : first + CHUNK], keep)
    return fresh


def _detail(params: ArxivParams, found: Found, fresh: Sequence[Item]) -> dict[str, Any]:
    updated = sum(1 for item in fresh if item.fields.get("before"))
    ranked = Ranking(params.keywords).ordered({"key": item.key, **item.fields} for item in fresh)
    return {
        "seen": found.seen,
        "new": len(fresh) - updated,
        "updated": updated,
        "withdrawn": sum(1 for item in fresh if item.fields.get("withdrawn")),
        "unread": found.unread,
        "pages": found.pages,
        "total": found.total,
        "top": [
            {"id": paper["key"], "title": one_line(paper["title"], 200), "score": score, "url": paper["url"]}
            for score, paper in ranked[:TOP]
        ],
    }


def _write_digests(context: ActionContext, params: ArxivParams) -> list[Path]:
    """The newest day's digest, and yesterday's where a run died before it wrote it."""
    yesterday = context.clock.now().astimezone(UTC).date() - timedelta(days=1)
    since = datetime.combine(yesterday, time(), UTC)
    days = by_day(context.notebook.published(_topic(context), since))
    ranking, written = Ranking(params.keywords), []
    for day, papers in days.items():
        path = path_of(context.data_dir, context.job, day)
        if day == max(days) or not path.exists():
            write_whole(path, render(context.job, params.query, day, ranking.ordered(papers)))
            written.append(path)
    return written


def _told(detail: Mapping[str, Any]) -> str:
    if not detail["new"] and not detail["updated"]:
        return f"nothing new among {detail['seen']} papers"
    best = f"; first: {detail['top'][0]['title']}"
    return f"{detail['new']} new and {detail['updated']} updated among {detail['seen']} papers{best}"

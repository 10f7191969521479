"""Reads the answers of the arXiv API: papers, error feeds, and what is neither."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moie_worker.actions.arxiv_extras import TEXTS, Extra, read_extras
from moie_worker.plan.texts import one_line

ABS = re.compile(
    r"https?://(?:[a-z]+\.)?arxiv\.org/abs/(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Za-z-]+)?/\d{7})(?:v(?P<version>\d{1,4}))?"
)
# Declarations of entities, which could explode; and zeros, which only UTF-16 and UTF-32 have, where such are not found.
_UNFIT = re.compile(rb"<!(?:DOCTYPE|ENTITY)|\0", re.IGNORECASE)
AUTHORS = 25  # named in full; some papers have three thousand
SUMMARY = 6000

_WORK = r"(?:paper|article|manuscript|preprint|e-?print|submission|work|note|letter|thesis|version|document)"
_FROM_ELSEWHERE = r"(?!\s+from\s+(?!arxiv)|\s+at\s+(?!the\s+(?:author|request)))"
_NOTICE = re.compile(
    rf"(?:^|[.!?;:\]]\s+)\W*(?:this|the|our)\s+{_WORK}\s+(?:has\s+been|have\s+been|is|was|is\s+being|is\s+hereby)\s+"
    rf"(?:temporarily\s+|now\s+)?withdrawn\b{_FROM_ELSEWHERE}"
    rf"|\bwithdrawn\s+by\s+arxiv\b",
    re.IGNORECASE,
)
_BARE_NOTICE = re.compile(
    rf"^\W*(?:{_WORK}\s+|temporarily\s+)?withdrawn\s*(?:$|[.,;:!\])(]|(?:by|due|because|since|pending|as)\b)",
    re.IGNORECASE,
)
_TITLE_NOTICE = re.compile(r"[\[(]\s*withdrawn\s*[\])]\s*$", re.IGNORECASE)


class FeedError(Exception):
    """The answer holds no papers; the text says why. `passing` ones may be gone at the next try."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class ErrorFeedError(FeedError):
    """A feed by which the service says what is wrong with the request."""


@dataclass(frozen=True, slots=True)
class Paper:
    """One version of one paper; texts have no line breaks."""

    id: str  # without version: 2510.14968, astro-ph/0601001
    version: int
    title: str
    summary: str
    authors: tuple[str, ...]
    affiliations: tuple[str, ...]
    primary: str
    categories: tuple[str, ...]
    published: str  # ISO 8601, as the feed says it
    updated: str
    comment: str
    journal_ref: str
    doi: str
    withdrawn: bool

    @property
    def url(self) -> str:
        """The page of this version."""
        return f"https://arxiv.org/abs/{self.id}v{self.version}"

    def fields(self) -> dict[str, str]:
        """As a stream keeps it: texts only."""
        more = f" and {len(self.authors) - AUTHORS} more" if len(self.authors) > AUTHORS else ""
        return {
            "title": self.title,
            "url": self.url,
            "authors": "; ".join(self.authors[:AUTHORS]) + more,
            "affiliations": "; ".join(self.affiliations[:AUTHORS]),
            "summary": one_line(self.summary, SUMMARY),
            "primary": self.primary,
            "categories": " ".join(self.categories),
            "published": self.published,
            "updated": self.updated,
            "comment": self.comment,
            "journal_ref": self.journal_ref,
            "doi": self.doi,
            "withdrawn": "yes" if self.withdrawn else "",
        }


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. `total` is what the service claims to have, which may be more than it gives."""

    papers: tuple[Paper, ...]
    entries: int  # papers and what could not be read as one
    total: int


def parse_feed(body: bytes) -> Page:
    """Read an answer; FeedError for error feeds, other feeds and what is no feed."""
    import feedparser

    if _UNFIT.search(body):
        raise FeedError(f"the answer is not a feed: {_excerpt(body)}", passing=True)
    try:
        # From memory: given bytes themselves, the parser would take them for the name of a file first.
        parsed = feedparser.parse(io.BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    except Exception as error:  # it stumbles over damaged declarations in ways of its own
        raise FeedError(f"the answer cannot be read as a feed ({error}): {_excerpt(body)}", passing=True) from error
    _refuse_what_is_broken(parsed, body)
    _refuse_other_feeds(parsed, body)
    _refuse_error_feeds(parsed)
    extras = read_extras(body)
    total = parsed.feed.get("opensearch_totalresults") if extras.total is None else extras.total
    if total is None:
        named = one_line(parsed.feed.get("id", "") or parsed.feed.get("title", ""), 100)
        raise FeedError(f'the feed "{named}" is not an answer of the arXiv API (RSS feeds are none): {_HINT}')
    papers = [_paper(entry, extras.of(position)) for position, entry in enumerate(parsed.entries)]
    return Page(tuple(paper for paper in papers if paper is not None), len(papers), _number(total))


def error_of(body: bytes) -> str:
    """What an answer of status 400 complains of; "" when it does not say."""
    try:
        parse_feed(body)
    except ErrorFeedError as error:
        return str(error)
    except FeedError:
        return ""
    return ""


def is_withdrawn(title: str, summary: str, comment: str) -> bool:
    """Whether a notice says that this paper is withdrawn.

    Careful on purpose: papers on withdrawal, on withdrawn drugs, and those withdrawn from a journal are no notices.
    """
    if _TITLE_NOTICE.search(title) or _BARE_NOTICE.search(comment) or _BARE_NOTICE.search(summary):
        return True
    return bool(_NOTICE.search(comment) or _NOTICE.search(summary))


def _refuse_what_is_broken(parsed: Any, body: bytes) -> None:
    import feedparser

    harmless = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)
    trouble = parsed.get("bozo_exception")
    if parsed.get("bozo") and not isinstance(trouble, harmless):
        reason = one_line(str(trouble), 200)
        raise FeedError(f"the answer is not a whole feed ({reason}): {_excerpt(body)}", passing=True)


def _refuse_other_feeds(parsed: Any, body: bytes) -> None:
    kind = parsed.get("version", "")
    if not kind:
        raise FeedError(f"the answer is not a feed: {_excerpt(body)}", passing=True)
    if not kind.startswith("atom"):
        raise FeedError(f"the answer is not an Atom feed of the arXiv API but {kind}: {_HINT}")


def _refuse_error_feeds(parsed: Any) -> None:
    if _is_error(parsed.entries):
        entry = parsed.entries[0]
        raise ErrorFeedError(one_line(entry.get("summary", ""), 300) or "an error without a reason")


_HINT = "set `address` to one such as https://export.arxiv.org/api/query"


def _is_error(entries: list[Any]) -> bool:
    if len(entries) != 1:
        return False
    entry = entries[0]
    no_paper = ABS.fullmatch(entry.get("id", "")) is None
    return no_paper and ("/api/errors" in entry.get("id", "") or entry.get("title", "").strip() == "Error")


def _paper(entry: Mapping[str, Any], extra: Extra) -> Paper | None:
    found = ABS.fullmatch(entry.get("id", "").strip())
    if found is None:
        return None
    title, summary = one_line(entry.get("title", "")), one_line(entry.get("summary", ""))
    comment, journal_ref, doi = (extra.texts.get(name) or one_line(entry.get(f"arxiv_{name}", "")) for name in TEXTS)
    categories = tuple(one_line(tag.get("term") or "") for tag in entry.get("tags", ()))
    primary = extra.primary or one_line((entry.get("arxiv_primary_category") or {}).get("term", ""))
    return Paper(
        id=found["id"],
        version=int(found["version"] or 1),
        title=title,
        summary=summary,
        authors=tuple(one_line(author.get("name", "")) for author in entry.get("authors", ())),
        affiliations=extra.affiliations,
        primary=primary or (categories or ("",))[0],
        categories=categories,
        published=_date(entry, "published"),
        updated=_date(entry, "updated"),
        comment=comment,
        journal_ref=journal_ref,
        doi=doi,
        withdrawn=is_withdrawn(title, summary, comment),
    )


def _date(entry: Mapping[str, Any], name: str) -> str:
    # Not `entry.get`: the parser answers for one date with the other, and warns.
    return one_line(entry[name]) if name in entry.keys() else ""  # noqa: SIM118


def _number(text: Any) -> int:
    return int(text) if isinstance(text, str) and re.fullmatch(r"\s*\d{1,12}\s*", text) else 0


def _excerpt(body: bytes) -> str:
    return one_line(body[:400].decode("utf-8", "replace"), 120) or "it is empty"

"""Ranks papers by weighted keywords and writes the digest of a day. The digest is made from the stream alone, so
writing it again gives the same file."""

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from moie_worker.plan.texts import one_line

TITLE_COUNTS = 2  # times as much as the summary
SUMMARY_LENGTH = 1200
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")
_LINE_START = re.compile(r"^(\d+)([.)])|^([-+=])")


class Ranking:
    """Scores of papers: the sum of the weights of the keywords found, in the title counted double.

    A keyword is found as whole words, in any case; between its words any white space or hyphen may stand.
    """

    def __init__(self, keywords: Mapping[str, float]) -> None:
        self._patterns = [(_pattern(words), weight) for words, weight in keywords.items()]

    def score(self, title: str, summary: str) -> float:
        """0 without keywords."""
        total = 0.0
        for pattern, weight in self._patterns:
            total += weight * (TITLE_COUNTS * bool(pattern.search(title)) + bool(pattern.search(summary)))
        return total

    def ordered(self, papers: Iterable[Mapping[str, str]]) -> list[tuple[float, Mapping[str, str]]]:
        """Highest score first, the newest first among equals; `papers` come oldest first."""
        newest_first = reversed(list(papers))
        scored = [(self.score(paper.get("title", ""), paper.get("summary", "")), paper) for paper in newest_first]
        return sorted(scored, key=lambda pair: -pair[0])


def _pattern(words: str) -> re.Pattern[str]:
    inner = r"[\s\-\u2010-\u2014]+".join(re.escape(word) for word in re.split(r"[\s\-]+", words.strip()) if word)
    return re.compile(rf"(?<!\w){inner}(?!\w)", re.IGNORECASE)


def escaped(text: str) -> str:
    """A text in which nothing is Markdown or HTML any more, on one line."""
    line = _SPECIAL.sub(r"\\\1", one_line(text))
    return _LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", line)


def render(job: str, query: str, day: date, ranked: Sequence[tuple[float, Mapping[str, str]]]) -> str:
    """The digest of a day."""
    lines = [f"# arXiv digest of {day.isoformat()}", "", f"Job {escaped(job)}, query: {escaped(query)}", ""]
    lines += [f"{len(ranked)} {'paper' if len(ranked) == 1 else 'papers'}, best match first.", ""]
    for score, paper in ranked:
        lines += _entry(score, paper)
    return "\n".join(lines)


def _entry(score: float, paper: Mapping[str, str]) -> list[str]:
    withdrawn = "WITHDRAWN: " if paper.get("withdrawn") else ""
    facts = [f"v{paper.get('version', '1')}"]
    if paper.get("before"):
        facts[0] += f" (seen before: v{paper['before']})"
    facts += [escaped(paper.get(name, "")) for name in ("primary", "published") if paper.get(name)]
    if score:
        facts.append(f"score {score:g}")
    lines = [f"## {withdrawn}[{escaped(paper.get('title', '')) or 'untitled'}]({paper.get('url', '')})", ""]
    lines += [f"{escaped(paper.get('authors', '')) or 'authors unknown'}  ", " · ".join(facts), ""]
    notes = [("Comment", "comment"), ("Journal", "journal_ref"), ("DOI", "doi"), ("Affiliations", "affiliations")]
    told = [f"{label}: {escaped(paper[name])}" for label, name in notes if paper.get(name)]
    if told:
        lines += ["  \n".join(told), ""]
    return [*lines, escaped(one_line(paper.get("summary", ""), SUMMARY_LENGTH)), ""]


def path_of(data_dir: Path, job: str, day: date) -> Path:
    """digests/<job>/YYYY-MM-DD.md; a job's name that is no safe file name is made one, and stays unlike others."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", job)[:80]
    if safe != job or safe.strip(".") == "":
        safe = f"{safe.strip('.') or 'job'}-{sha256(job.encode()).hexdigest()[:8]}"
    return data_dir / "digests" / safe / f"{day.isoformat()}.md"


def by_day(entries: Iterable[tuple[datetime, Mapping[str, str]]]) -> dict[date, list[Mapping[str, str]]]:
    """Stream entries by day, in UTC. Of a paper that came twice on a day only the later version stays."""
    days: dict[date, dict[str, Mapping[str, str]]] = {}
    for at, fields in entries:
        day = days.setdefault(at.date(), {})
        day.pop(fields.get("key", ""), None)
        day[fields.get("key", "")] = fields
    return {day: list(papers.values()) for day, papers in days.items()}


def write_whole(path: Path, text: str) -> None:
    """Write a file that is at any time either the old one or the new one; OSError when the disk says no."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

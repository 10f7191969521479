"""Ranking by keywords, and a digest that a hostile title cannot break."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.actions.arxiv_digest import Ranking, by_day, escaped, path_of, render, write_whole

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("On Time Reversal of waves", True),
        ("time-reversal symmetry", True),
        ("time\n  reversal", True),
        ("time–reversal", True),
        ("TIME REVERSAL", True),
        ("(time reversal)", True),
        ("time reversals", False),
        ("overtime reversal", False),
        ("timereversal", False),
        ("reversal time", False),
        ("time and reversal", False),
    ],
)
def test_a_phrase_is_found_as_whole_words_in_any_case(text: str, found: bool) -> None:
    assert (Ranking({"time reversal": 1}).score(text, "") > 0) is found


def test_the_title_counts_double_and_weights_add_up() -> None:
    ranking = Ranking({"time reversal": 3, "C++": 1.5, "review": -1})
    assert ranking.score("Time reversal", "") == 6
    assert ranking.score("", "time reversal, time reversal") == 3
    assert ranking.score("Time reversal in C++", "A review of time reversal.") == 6 + 3 + 3 - 1
    assert Ranking({}).score("x", "y") == 0


def test_the_best_comes_first_and_the_newest_among_equals() -> None:
    papers = [{"title": name} for name in ("old", "old wave", "new", "new wave")]
    order = [paper["title"] for _, paper in Ranking({"wave": 1}).ordered(papers)]
    assert order == ["new wave", "old wave", "new", "old"]


@given(st.text(max_size=60))
def test_an_escaped_text_is_one_line_without_live_markdown(text: str) -> None:
    line = escaped(text)
    assert "\n" not in line
    bare = re.sub(r"\\.", "", line)
    assert not re.search(r"[`*_\[\]<>#|~&$]", bare)
    assert not re.match(r"[-+=]|\d+[.)]", line)


def test_a_hostile_paper_stays_text() -> None:
    paper = {
        "title": "[x](javascript:alert(1)) <img src=x onerror=y> `a` **b** | c\n# d",
        "url": "https://arxiv.org/abs/2510.14968v1",
        "authors": "<b>A</b>",
        "summary": "- item\n\n1. one\n***\n![i](http://x/i.png)",
        "comment": "&lt;script&gt;",
    }
    text = render("5.1", "cat:x", DAY, [(0.0, paper)])
    assert text.count("\n## ") == text.count("](https://arxiv.org/abs/2510.14968v1)") == 1
    bare = re.sub(r"\\.", "", text)  # without what is escaped
    for live in ("](javascript", "<", "`", "**", "\n# d", "\n- item", "\n1.", "![", "&lt;"):
        assert live not in bare


def test_the_digest_tells_what_a_reader_needs() -> None:
    paper = {
        "title": "Waves",
        "url": "https://arxiv.org/abs/2510.14968v2",
        "version": "2",
        "before": "1",
        "authors": "A. One; B. Two",
        "primary": "gr-qc",
        "published": "2026-11-19T00:00:00Z",
        "comment": "5 pages",
        "summary": "Short.",
        "withdrawn": "yes",
    }
    text = render("5.1", "cat:gr-qc", DAY, [(6.0, paper)])
    assert "# arXiv digest of 2026-11-20" in text
    assert "## WITHDRAWN: [Waves](https://arxiv.org/abs/2510.14968v2)" in text
    assert "v2 (seen before: v1) · gr-qc · 2026-11-19T00:00:00Z · score 6" in text
    assert "Comment: 5 pages" in text
    assert "1 paper, best match first." in text


def test_a_paper_that_came_twice_on_a_day_is_told_once() -> None:
    at = datetime(2026, 11, 20, 5, tzinfo=UTC)
    later = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)
    days = by_day(
        [
            (at, {"key": "a", "version": "1"}),
            (at, {"key": "b", "version": "1"}),
            (at, {"key": "a", "version": "2"}),
            (later, {"key": "a", "version": "3"}),
        ]
    )
    assert [(paper["key"], paper["version"]) for paper in days[DAY]] == [("b", "1"), ("a", "2")]
    assert [paper["version"] for paper in days[later.date()]] == ["3"]


def test_the_path_of_a_job(tmp_path: Path) -> None:
    assert path_of(tmp_path, "5.1", DAY) == tmp_path / "digests" / "5.1" / "2026-11-20.md"


@given(st.text(min_size=1, max_size=120))
def test_no_name_of_a_job_leaves_the_folder(job: str) -> None:
    path = path_of(Path("/data"), job, DAY)
    assert path.parent.parent == Path("/data/digests")
    assert path.parent.name not in ("", ".", "..")
    assert "\0" not in path.parent.name
    assert len(path.parent.name.encode()) < 120


def test_names_of_jobs_that_differ_in_odd_signs_only_stay_apart(tmp_path: Path) -> None:
    names = ["a/b", "a:b", "a_b", "..", ".", "a" * 200, "a" * 201]
    assert len({path_of(tmp_path, name, DAY) for name in names}) == len(names)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.md"
    write_whole(path, "one")
    write_whole(path, "zwei ✓")
    assert path.read_text(encoding="utf-8") == "zwei ✓"
    assert [found.name for found in path.parent.iterdir()] == ["b.md"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.md"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["b.md"]

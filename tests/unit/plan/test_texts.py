"""Texts with half signs, as Python makes them of file names that are no UTF-8, and texts that move cursors."""

import json
from typing import Any

import pytest

from moie_worker.plan.texts import in_a_line, json_of, json_shown, one_line, printable, whole


@pytest.mark.parametrize("text", ["plain", "Grüße 😀", ""])
def test_a_text_that_is_whole_stays_as_it_is(text: str) -> None:
    assert whole(text) == text


def test_half_a_sign_is_written_out() -> None:
    assert whole("no file 'a\udcff' 😀") == "no file 'a\\udcff' 😀"


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "é😀"]}, {"path": "C:\\udcff"}, "x", []])
def test_what_is_whole_is_kept_as_json(value: Any) -> None:
    assert json.loads(json_of(value)) == value


def test_half_signs_at_any_depth_become_what_every_reader_takes() -> None:
    text = json_of({"a\ud800": ["ok", {"b": "\udcff"}], "pair": "😀"})
    assert json.loads(text) == {"a\\ud800": ["ok", {"b": "\\udcff"}], "pair": "😀"}
    assert json.loads(text.encode().decode("ascii"))


@pytest.mark.parametrize("text", ["plain", "Grüße 😀", "", "two\n\tlines", "a\u00a0b"])
def test_what_moves_no_cursor_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("bad", ["\x1b", "\x00", "\x7f", "\x9b", "\u202e", "\u2028", "\x85"])
def test_what_moves_a_cursor_or_reorders_a_line_is_not_shown(bad: str) -> None:
    assert printable(f"a{bad}[2Jb") == "a\ufffd[2Jb"
    assert one_line(f" a\n{bad} b ").isprintable()
    assert in_a_line(f"a{bad}b") is (bad == "\u202e"), "marks of direction may stand in the id of a job"


def test_lines_end_as_ours_do_and_half_signs_are_written_out() -> None:
    assert printable("a\r\nb\rc\udcff") == "a\nb\nc\\udcff"


@pytest.mark.parametrize(("text", "fits"), [("Grüße a\u200db", True), ("", True), ("a\nb", False), ("a\tb", False)])
def test_a_line_of_a_log_takes_what_does_not_end_or_shift_it(text: str, fits: bool) -> None:
    assert in_a_line(text) is fits


def test_json_that_is_shown_means_the_same_and_moves_no_cursor() -> None:
    value = {"é\x9b": ["\x1b[2J", "\u202e", "\x7f😀"], "b": "two\nlines"}
    shown = json_shown(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(shown) == value
    assert printable(shown) == shown

"""Output: a little kept, all counted, safe to show."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.adapters.output import Capture, clean


def captured(*chunks: bytes, head: int = 4, tail: int = 4) -> Capture:
    capture = Capture(head, tail)
    for chunk in chunks:
        capture.feed(chunk)
    return capture


def test_what_fits_into_the_head_leaves_the_tail_empty() -> None:
    assert captured(b"ab", b"cd").texts() == ("abcd", "")


def test_what_fits_into_head_and_tail_is_kept_whole() -> None:
    assert captured(b"abc", b"defg").texts() == ("abcd", "efg")


def test_of_more_the_first_and_the_last_bytes_are_kept() -> None:
    assert captured(b"abcdefghij", b"k").texts() == ("abcd", "hijk")


def test_nothing_printed_is_the_digest_of_nothing() -> None:
    capture = Capture()
    assert (capture.size, capture.texts(), capture.sha256()) == (0, ("", ""), hashlib.sha256().hexdigest())


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 20), st.integers(0, 20))
def test_any_stream_in_any_pieces_is_counted_hashed_and_valid(chunks: list[bytes], head: int, tail: int) -> None:
    whole = b"".join(chunks)
    capture = captured(*chunks, head=head, tail=tail)
    assert capture.size == len(whole)
    assert capture.sha256() == hashlib.sha256(whole).hexdigest()
    for text, limit in zip(capture.texts(), (head, tail + 3), strict=True):
        assert text == clean(text)
        assert len(text) <= limit
        assert text.encode().decode() == text


@given(st.text(alphabet="aé€😀\n\t", max_size=30), st.integers(1, 12), st.integers(1, 12))
def test_a_character_is_never_cut_in_two(text: str, head: int, tail: int) -> None:
    first, last = captured(text.encode(), head=head, tail=tail).texts()
    assert text.startswith(first)
    assert text.endswith(last)
    if len(text.encode()) <= head + tail:
        assert first + last == text


def test_an_unfinished_character_at_the_end_is_marked() -> None:
    assert captured("é".encode()[:1]).texts() == ("\ufffd", "")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1bcreset", "reset"),
        ("\x1b", "\ufffd"),
        ("\x9b31mred", "\ufffd31mred"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("bell\x07 nul\x00\x00\x00 del\x7f", "bell\ufffd nul\ufffd del\ufffd"),
        ("evil\u202etxt.exe", "evil\ufffdtxt.exe"),
    ],
)
def test_nothing_reaches_a_terminal_but_text(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text())
def test_clean_is_clean(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert not any(ord(char) < 32 and char not in "\t\n" for char in clean(text))

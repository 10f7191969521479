"""Texts with half signs, as Python makes them of file names that are no UTF-8."""

import json
from typing import Any

import pytest

from moie_worker.plan.texts import json_of, whole


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

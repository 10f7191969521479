"""Bytes become values that are exactly what was written, or an error."""

import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.errors import DocumentError
from moie_worker.plan import yaml_reader
from moie_worker.plan.documents import MAX_INT, parse
from moie_worker.plan.render import render

texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)
mappings = st.dictionaries(texts, values, min_size=1, max_size=4)


@given(mappings, st.sampled_from(["plan.json", "plan.yaml"]))
def test_what_is_rendered_is_read_back(value: dict[str, Any], name: str) -> None:
    assert parse(render(value, name).encode(), name).data == value


@given(st.dictionaries(texts, texts, min_size=1), st.sampled_from(["plan.json", "plan.yaml"]))
def test_another_reader_of_yaml_reads_the_same_texts(value: dict[str, str], name: str) -> None:
    assert yaml.safe_load(render(value, name)) == value


def test_texts_that_look_like_something_else_are_rendered_in_quotes() -> None:
    value = {"a": ["on", "1:30", "1.10", "null", "1e3", "2025-12-12", "", "two\nlines\n", "plain"]}
    assert parse(render(value, "p.yaml").encode(), "p.yaml").data == yaml.safe_load(render(value, "p.yaml")) == value


@given(mappings)
def test_yaml_of_another_writer_is_never_taken_for_something_else(value: dict[str, Any]) -> None:
    try:
        read = parse(yaml.safe_dump(value, allow_unicode=True).encode(), "plan.yaml").data
    except DocumentError:  # what readers disagree on
        return
    assert read == value


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.CSafeLoader])
def test_the_pure_reader_and_the_c_reader_agree(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "Loader", loader)
    source = b"a: &x {k: [1, 1.5, \"1.10\", 2025-12-12, ~, true]}\nb: *x\nc: |\n  two\n  lines\nd: 'on'\n"
    inner = {"k": [1, 1.5, "1.10", "2025-12-12", None, True]}
    assert parse(source, "p").data == {"a": inner, "b": inner, "c": "two\nlines\n", "d": "on"}


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_document_error(data: bytes) -> None:
    try:
        parse(data, "plan.yaml")
    except DocumentError:
        return


@given(st.text("{}[]:,&*!<-?#|>'\"%@` \n0ab~.", max_size=40))
def test_any_signs_of_yaml_are_a_document_or_a_document_error(source: str) -> None:
    try:
        parse(source.encode(), "plan.yaml")
    except DocumentError:
        return


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfa: 1", "p").data == {"a": 1}
    assert parse(b'\xef\xbb\xbf{"a": 1}', "p").data == {"a": 1}


@pytest.mark.parametrize(
    "written", ["2025-12-12", "1:75", "12e", "v1.10", "1.10.0", "y", "n", "Norway", "-x", "=", "0x", "."]
)
def test_text_without_quotes_stays_as_it_was_written(written: str) -> None:
    assert parse(f"a: [{written} ]".encode(), "p").data == {"a": [written]}


@pytest.mark.parametrize(
    "written",
    [
        "on",
        "Off",
        "1:30",
        "1e3",
        "1.5E3",
        "-.5",
        "08",
        "YES",
        "no",
        "0777",
        "0x1F",
        "0o17",
        "1_000",
        ".inf",
        "-.INF",
        ".nan",
        "0b1",
    ],
)
def test_what_readers_of_yaml_disagree_on_is_refused_with_a_hint(written: str) -> None:
    with pytest.raises(DocumentError, match=f'"{written}"'):
        parse(f"a: {written}".encode(), "p")
    assert parse(f"a: '{written}'".encode(), "p").data == {"a": written}


def test_merge_keys_fill_in_what_is_not_there() -> None:
    source = b"a: &a {x: 1, y: 1}\nb: {<<: [*a, {z: 3, x: 3}], y: 2}\n"
    assert parse(source, "p").data["b"] == {"x": 1, "y": 2, "z": 3}


def test_flow_style_yaml_is_not_taken_for_json() -> None:
    assert parse(b"{version: 3, phases: [one]}", "plan.yaml").data == {"version": 3, "phases": ["one"]}


def test_the_line_of_a_place_is_that_of_what_holds_it_when_it_is_missing() -> None:
    document = parse(b"a:\n  - b: 1\n    c: 1.10\n", "p")
    assert document.line(("a", 0, "c")) == 3
    assert document.line(("a", 0, "missing")) == 2
    assert document.line(()) is None
    assert document.written(("a", 0, "c")) == "1.10"


@pytest.mark.parametrize(
    "source",
    [
        "a: " + "[" * 10_000,
        "a: " + "{x: " * 10_000,
        "- " * 10_000,
        "? " * 10_000,
        "\n".join(
            ["a0: &a0 [x, x, x, x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 200)]
        ),
        '{"a":' * 10_000,
        "[" * 100_000 + "]" * 100_000,
    ],
    ids=["lists", "mappings", "dashes", "question marks", "aliases", "JSON objects", "JSON lists"],
)
def test_a_bomb_is_refused_at_once(source: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(DocumentError):
        parse(source.encode(), "plan.yaml")
    assert time.perf_counter() - begun < 2


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    parsed = parse(b'meta: {"<<": null}\nphases: []\n', "plan.yaml")
    assert parsed.data["meta"] == {"<<": None}

"""A small part of `make fuzz`, and that it finds what it is for: each rule that is broken by hand is found soon."""

from collections.abc import Callable

import pytest

from moie_worker.doors import poison_schema
from moie_worker.plan import documents, validate
from tests.fuzz.run import Key, Tally, judge_payload, read_document, tally

DOCUMENTS, PAYLOADS = 250, 1000
SOON = 600


def test_no_document_is_taken_for_something_else() -> None:
    done = tally(read_document, 1, range(DOCUMENTS))
    assert done.findings == []
    assert done.counts.total() == DOCUMENTS
    assert sum(count for (_, accepted), count in done.counts.items() if accepted) > DOCUMENTS / 8


def test_every_payload_is_judged_and_what_is_fit_is_read() -> None:
    done = tally(judge_payload, 1, range(PAYLOADS))
    assert done.findings == []
    assert done.counts.total() == PAYLOADS


BROKEN: list[tuple[object, str, Callable[..., object], str]] = [
    (validate, "_job_ids", lambda plan: (), "TwiceError"),
    (validate, "_phase_ids", lambda plan: (), "TwiceError"),
    (validate, "_cycle", lambda path, phase: (), "can never be brought to its end"),
    (validate, "_wrong_need", lambda *_: "", "can never be brought to its end"),
    (documents, "_pairs", dict, "TwiceError"),
]


@pytest.mark.parametrize(("where", "rule", "nothing", "said"), BROKEN, ids=[rule for _, rule, *_ in BROKEN])
def test_a_reader_without_one_of_its_rules_is_found_out(
    where: object, rule: str, nothing: Callable[..., object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, rule, nothing)
    assert found_soon(read_document, said)


@pytest.mark.parametrize("rule", ["_properties", "_envelope_fields"])
def test_a_judge_without_one_of_its_rules_is_found_out(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison_schema, rule, lambda *_: None)
    assert found_soon(judge_payload, "")


def found_soon(one: Callable[[int, int, Tally], Key], said: str) -> bool:
    """Whether one of the first documents or payloads is a finding that says so."""
    return any(
        said in finding for number in range(SOON) for finding in tally(one, 1, range(number, number + 1)).findings
    )

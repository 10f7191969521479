"""People are shown no secrets; what is replayed keeps them."""

import time
from datetime import UTC, datetime

import pytest

from moie_worker.heart.redact import shown, text_shown, values_shown
from moie_worker.plan.letters import Letter, LetterHead, LetterKind


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "passwd", "api_key", "apiKey", "Authorization", "access-token", "client_secret"]
)
def test_a_value_under_a_secrets_name_is_hidden_at_any_depth(name: str) -> None:
    assert values_shown({"a": [{name: {"deep": "hunter2"}}]}) == {"a": [{name: "***"}]}


def test_other_values_are_shown_as_they_are() -> None:
    values = {"args": [1, 2.5, None, True, "plain"], "kwargs": {"user": "ann", "password": None}}
    assert values_shown(values) == values


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@host:6379/0 refused",
        "no access with password=hunter2, sorry",
        "{'api_key': 'hunter2'}",
        'sent "token": "hunter2"',
        "export MY_API_KEY_FILE = hunter2",
        "Authorization: Bearer hunter2",
        "amqp://ann:p@ss/hunter2@host//",
    ],
)
def test_secrets_within_texts_are_hidden(text: str) -> None:
    assert "hunter2" not in text_shown(text)
    assert "***" in text_shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0 and ann@example.org",
        "a tokenizer, and passwords in general",
        "sh: 1: /etc/passwd: Permission denied",
    ],
)
def test_texts_without_secrets_are_shown_as_they_are(text: str) -> None:
    assert text_shown(text) == text


@pytest.mark.parametrize("piece", ["a", "token", "token-", "token =", "password='", "://:", "a://b:c", "?password="])
def test_a_text_of_any_kind_is_shown_in_time_in_proportion_to_its_length(piece: str) -> None:
    """Dead letters hold 256 KiB that anybody may have written; what is quadratic takes minutes for a quarter of it."""
    whole = piece * (65_536 // len(piece))
    began = time.process_time()
    text_shown(whole)
    assert time.process_time() - began < 5


def test_a_letter_is_shown_without_and_kept_with_its_secrets() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    head = LetterHead("t", LetterKind.TASK, "shop", "Boom: password=hunter2", 1, 1, 0, now, now)
    letter = Letter(head, {"kwargs": {"token": "hunter2"}}, {"traceback": "secret='hunter2'"})
    assert "hunter2" not in repr(shown(letter))
    assert letter.payload["kwargs"]["token"] == "hunter2"

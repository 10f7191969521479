"""Hides secrets in what is kept of commands, and in what people are shown. What is replayed keeps them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moie_worker.addresses import redact
from moie_worker.plan.letters import Letter, LetterHead
from moie_worker.ports import Evidence

HIDDEN = "***"
SECRET_NAME = re.compile(
    r"passw|passphrase|pwd|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|credential|authori[sz]ation|cookie",
    re.IGNORECASE,
)
# Parts of all names above: a text without any of them is known to hold nothing at a fiftieth of the cost.
MARKS = ("passw", "passphrase", "pwd", "secret", "token", "key", "credential", "authori", "cookie")
# Begins at the name itself and bounds what follows, so that a text takes time in proportion to its length, whoever
# wrote it: what stands before the name is kept as it is. A file of that name is none: `/etc/passwd: Permission denied`.
SECRET_IN_TEXT = re.compile(
    rf"""((?<!/)(?:{SECRET_NAME.pattern})[\w-]{{0,64}}["']?\s{{0,16}}[=:]\s{{0,16}}(?:(?:bearer|basic)\s{{1,16}})?)"""
    r"""("[^"]*"|'[^']*'|[^\s,;&)}]+)""",
    re.IGNORECASE,
)


def shown(letter: Letter) -> Letter:
    """The letter as people see it."""
    return Letter(head_shown(letter.head), values_shown(letter.payload), values_shown(letter.evidence))


def head_shown(head: LetterHead) -> LetterHead:
    """A line of the list as people see it."""
    return replace(head, reason=text_shown(head.reason))


def values_shown(value: Any) -> Any:
    """JSON values without what stands under a name like a password's, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if SECRET_NAME.search(str(name)) and below is not None else values_shown(below)
            for name, below in value.items()
        }
    if isinstance(value, list | tuple):
        return [values_shown(below) for below in value]
    return text_shown(value) if isinstance(value, str) else value


def text_shown(text: str) -> str:
    """A text without the passwords of addresses and without what follows `password=` and its kin."""
    if not text:
        return text
    lowered, found = text.lower(), redact(text)
    return SECRET_IN_TEXT.sub(rf"\1{HIDDEN}", found) if any(mark in lowered for mark in MARKS) else found


def evidence_shown(evidence: Evidence) -> Evidence:
    """Evidence as it is kept. The digest stays that of the whole output."""
    told = evidence.message, evidence.head, evidence.tail
    message, head, tail = map(text_shown, told)
    if (message, head, tail) == told and not evidence.detail:
        return evidence
    return replace(evidence, message=message, head=head, tail=tail, detail=values_shown(evidence.detail))

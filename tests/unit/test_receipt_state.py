"""What is said of receipts at a glance."""

from dataclasses import replace

import pytest

from moie_worker.plan.doctor import Level, receipts_finding
from moie_worker.plan.proof import Verdict
from moie_worker.plan.receipt_state import ReceiptState, receipt_state
from moie_worker.plan.receipts import BEFORE_ANY, SEAL, Seal, seal_body, seal_line

SEALED = Seal(
    plan="p", begins=3, count=7, id="9-0", head=BEFORE_ANY, sealed_at="2026-01-01T10:00:00.123+00:00", sealed_by="w@h"
)


def line(seal: Seal = SEALED) -> str:
    return seal_line(seal, "key1", b"signed:" + seal.plan.encode())


def knows(key: str, data: bytes, signature: bytes) -> bool:
    """Trusts one key, whose signatures are easily made."""
    return key == "key1" and data == SEAL + seal_body(SEALED).encode() and signature == b"signed:p"


def test_a_good_seal_says_who_sealed_how_many_and_what_waits() -> None:
    state = receipt_state(line(), 6, "p", knows)
    assert state == ReceiptState(6, 7, 1, SEALED.sealed_at, "w@h", "key1")
    assert state.trusted
    assert list(state.words()) == ["7 sealed", "1 wait for a heartbeat", "2026-01-01 10:00:00 UTC by w@h, key key1"]


def test_before_the_first_seal_all_wait() -> None:
    state = receipt_state("", 2, "p", knows)
    assert (state.sealed, state.waiting, state.trusted, state.problem) == (0, 2, False, "")


@pytest.mark.parametrize(
    ("text", "plan", "problem"),
    [
        (line(), "another", "not signed by a key trusted here"),
        (line(replace(SEALED, count=8)), "p", "not signed by a key trusted here"),
        (line().replace("key1", "key2"), "p", "not signed by a key trusted here"),
        (line()[:-1], "p", "the newest seal is none"),
        (line().replace(b"signed:p".hex(), "no hex"), "p", "the newest seal is none"),
    ],
)
def test_a_seal_that_is_not_good_is_said(text: str, plan: str, problem: str) -> None:
    state = receipt_state(text, 6, plan, knows)
    assert problem in state.problem
    assert not state.trusted
    assert receipts_finding(state, None).level is Level.FAULT


def test_a_chain_that_was_read_is_verified_or_a_fault() -> None:
    state = receipt_state(line(), 6, "p", knows)
    verdict = Verdict("p", 6, 3, 7, BEFORE_ANY, BEFORE_ANY, "", ("key1",), ())
    assert receipts_finding(state, verdict).message.startswith("verified: 7 sealed")
    broken = receipts_finding(state, replace(verdict, problems=("line 2: is missing", "line 3: is forged")))
    assert (broken.level, broken.message) == (
        Level.FAULT, "line 2: is missing and 1 more: `moie receipts verify` names all"
    )  # fmt: skip
    assert "looks at every one" in receipts_finding(state, None).message

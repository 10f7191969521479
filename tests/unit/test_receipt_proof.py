"""A chain of receipts proves that it is whole, and every kind of damage is found from an export alone."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moie_worker.plan.proof import verify
from moie_worker.plan.receipts import (
    BEFORE_ANY,
    Link,
    Receipt,
    Seal,
    command_digest,
    compact,
    leaf,
    root_of,
    rooted,
    sha256,
)
from tests.receipt_kit import Key, Ring, lines_of, packed, receipt, sealer, store_of, verdict

KEY = Key("good")
WHOLE = lines_of(store_of(KEY, 4, 1, 4))  # nine receipts and a seal


def problems(lines: list[bytes], head: str = "") -> str:
    """What is wrong, in one text; empty when the chain is proven."""
    return "\n".join(verdict(lines, KEY, head).problems)


def changed(line: bytes, path: list[str | int], value: Any) -> bytes:
    """The line with another value somewhere in it, canonical again as a careful forger would make it."""
    document = json.loads(line)
    at = document
    for step in path[:-1]:
        at = at[step]
    assert at[path[-1]] != value
    at[path[-1]] = value
    return compact(document).encode() + b"\n"


def behind_what_was_dropped() -> list[bytes]:
    """An export of receipts 9 to 13, for which those before them went."""
    store = store_of(KEY, *[2] * 6)
    store.keep_receipt(packed(KEY, receipt(13))[0])
    sealer(KEY, kept=5).seal(store, "p", store.now)
    return lines_of(store)


def test_a_whole_chain_is_proven() -> None:
    found = verdict(WHOLE, KEY)
    assert found.problems == ()
    assert (found.plan, found.first, found.last, found.receipts, found.before) == ("p", 1, 9, 9, BEFORE_ANY)
    assert found.head == sha256(WHOLE[8].decode().rstrip("\n"))
    assert found.signers == ("good",)


def test_each_line_holds_the_digest_of_the_one_before_it() -> None:
    previous = [json.loads(line)["previous"] for line in WHOLE[:9]]
    assert previous == [BEFORE_ANY, *(sha256(line.decode().rstrip("\n")) for line in WHOLE[:8])]


@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_no_byte_can_be_changed(mask: int) -> None:
    whole = b"".join(lines_of(store_of(KEY, 2)))
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= mask
        assert problems(bytes(damaged).splitlines(keepends=True)), at


@pytest.mark.parametrize("place", [0, 8, 9])
def test_a_line_that_says_the_same_in_other_words_counts_as_changed(place: int) -> None:
    lines = list(WHOLE)
    lines[place] = lines[place].replace(b",", b", ", 1)
    assert f"line {place + 1}: is no " in problems(lines)
    assert "not canonical JSON" in problems(lines)


OTHER: dict[str, Any] = {
    "revision": 2, "attempt": 2, "exit_code": 1, "output_bytes": 7, "format": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(Receipt)])
def test_no_field_of_a_receipt_can_be_changed(name: str) -> None:
    for place in (0, 4, 8):
        lines = list(WHOLE)
        lines[place] = changed(lines[place], ["receipt", name], OTHER.get(name, "other"))
        said = problems(lines)
        assert f"line {place + 1}: " in said
        assert "is not signed by" in said or "is no receipt" in said


@pytest.mark.parametrize("name", sorted({field.name for field in fields(Link)} - {"receipt"}))
def test_no_field_around_a_receipt_can_be_changed(name: str) -> None:
    other: dict[str, Any] = {"number": 77, "proof": ["0" * 64]}
    lines = list(WHOLE)
    lines[4] = changed(lines[4], [name], other.get(name, "0" * 64))
    assert problems(lines)


@pytest.mark.parametrize("name", [field.name for field in fields(Seal)])
def test_no_field_of_the_seal_can_be_changed(name: str) -> None:
    other: dict[str, Any] = {"begins": 2, "count": 8, "format": 2}
    lines = list(WHOLE)
    lines[-1] = changed(lines[-1], ["seal", name], other.get(name, "other"))
    assert problems(lines)


@pytest.mark.parametrize("place", range(9))
def test_a_missing_receipt_is_named(place: int) -> None:
    said = problems(WHOLE[:place] + WHOLE[place + 1 :])
    assert f"receipt {place + 1} is missing" in said


def test_two_swapped_receipts_are_named() -> None:
    for one in range(9):
        for other in range(one + 1, 9):
            lines = list(WHOLE)
            lines[one], lines[other] = lines[other], lines[one]
            assert f"receipt {one + 1} (job j{one + 1}): stands behind receipt" in problems(lines)


def test_a_doubled_receipt_is_found() -> None:
    assert "it was moved or doubled" in problems([*WHOLE[:3], WHOLE[2], *WHOLE[3:]])


@pytest.mark.parametrize("kept", range(10))
def test_a_cut_tail_is_found_wherever_it_is_cut(kept: int) -> None:
    assert "the tail is cut: the last line is not the seal" in problems(WHOLE[:kept])


def test_a_tail_that_is_cut_before_the_seal_is_found() -> None:
    assert "the tail is cut: receipts 7 to 9 are missing before the seal" in problems([*WHOLE[:6], WHOLE[9]])


def test_the_last_byte_counts() -> None:
    assert problems([*WHOLE[:-1], WHOLE[-1].rstrip(b"\n")]) == "line 10: is cut off"


def test_a_chain_of_which_nothing_but_seals_is_left_is_not_proven() -> None:
    assert "all is cut: receipts 1 to 9 are missing" in problems([WHOLE[-1], WHOLE[-1]])
    late = behind_what_was_dropped()
    assert "all is cut: receipts 9 to 13 are missing" in problems([late[0], late[-1]])
    assert "all is cut: receipts 9 to 13 are missing" in problems([late[-1], late[-1]])


def test_a_chain_behind_another_seal_than_that_of_what_was_dropped_is_found() -> None:
    late = behind_what_was_dropped()
    assert problems(late) == ""
    assert "the first seal is of receipt 13, and the chain begins behind 8" in problems([late[-1], *late[1:]])


def test_a_cut_beginning_is_found() -> None:
    said = problems(WHOLE[3:])
    assert "the beginning is cut: receipts 1 to 3 are missing, which the seal knows of" in said
    assert "no seal says what came before it" in said


def test_an_older_export_is_whole_and_told_by_a_head_that_was_noted_elsewhere() -> None:
    older = lines_of(store_of(KEY, 4))
    newer = verdict(WHOLE, KEY).head
    assert problems(older) == ""
    assert "its tail was cut off, or it is another chain" in problems(older, newer)
    noted_before = json.loads(WHOLE[4])["previous"]
    assert problems(WHOLE, noted_before) == ""


def test_what_stands_behind_the_seal_is_found() -> None:
    assert "stands behind the seal" in problems([*WHOLE, WHOLE[0]])


def test_a_receipt_of_a_key_that_is_not_trusted_is_named_though_the_chain_is_whole() -> None:
    """Whoever writes into Redis can have a forged receipt sealed; who made it shows."""
    store, forger = store_of(KEY, 2), Key("forger")
    for text in packed(forger, receipt(3)):
        store.keep_receipt(text)
    sealer(KEY).seal(store, "p", store.now)
    said = problems(lines_of(store))
    assert said == "line 3: receipt 3 (job j3): is not signed by the key forger, or that key is not trusted here"


def test_a_forger_who_takes_the_name_of_a_trusted_key_is_found() -> None:
    lines = lines_of(store_of(Key("good"), 2))
    assert len(verdict(lines, KEY).problems) == 3


def test_a_signature_over_receipts_is_none_over_a_seal() -> None:
    """The text of what is signed says what it is, so nothing signed can be used as something else."""
    seen: list[bytes] = []

    def check(key_id: str, data: bytes, signature: bytes) -> bool:
        seen.append(data)
        return True

    verify(WHOLE, check)
    assert {data.split(b"\n")[0] for data in seen} == {b"moie-receipts-1", b"moie-seal-1"}


def test_a_receipt_of_another_plan_is_found() -> None:
    store = store_of(KEY, 1)
    for text in packed(KEY, receipt(2, plan="other")):
        store.keep_receipt(text)
    sealer(KEY).seal(store, "p", store.now)
    assert problems(lines_of(store)) == "line 2: receipt 2 (job j2): is of plan 'other', not of 'p'"


def test_garbage_is_no_chain() -> None:
    assert "is no receipt as it was written" in problems([b"\xff\xfe\n", b"{}\n"])
    assert problems([])


def test_a_chain_that_dropped_its_oldest_says_where_it_begins() -> None:
    lines = behind_what_was_dropped()
    found = verdict(lines, KEY)
    assert found.problems == ()
    assert (found.first, found.last) == (9, 13)
    assert found.before == json.loads(lines[0])["seal"]["head"]
    assert "no seal says what came before it" in problems(lines[1:])
    assert "receipt 9 is missing" in problems([lines[0], *lines[2:]])


@given(st.integers(1, 70), st.data())
@settings(max_examples=60)
def test_every_receipt_of_a_batch_leads_to_what_was_signed(number: int, data: st.DataObject) -> None:
    bodies = [f"receipt {n}" for n in range(number)]
    root, proofs = rooted([leaf(body) for body in bodies])
    chosen = data.draw(st.integers(0, number - 1))
    assert root_of(bodies[chosen], proofs[chosen]) == root
    assert root_of("another", proofs[chosen]) != root
    assert len(proofs[chosen]) <= (number - 1).bit_length()


def test_one_signature_holds_for_a_batch() -> None:
    key = Key("k")
    texts = packed(key, *(receipt(n) for n in range(64)))
    assert key.signatures == 1
    assert len({json.loads(text)["signature"] for text in texts}) == 1
    assert max(map(len, texts)) < 1400


def test_the_digest_of_a_command_is_that_of_sha256sum() -> None:
    assert command_digest("true") == "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b"
    assert command_digest(["a", "b"]) == sha256('["a","b"]')


def test_verification_asks_once_for_each_signature() -> None:
    asked: list[bytes] = []
    ring = Ring().trust(KEY)

    def check(key_id: str, data: bytes, signature: bytes) -> bool:
        asked.append(data)
        return ring.verify(key_id, data, signature)

    assert verify(WHOLE, check).problems == ()
    assert len(asked) == 4  # three batches and a seal

"""Receipts on their way: made by whoever ran the check, signed when settled, sealed at a heartbeat."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moie_worker.errors import RefusedError
from moie_worker.heart.quietly import quietly
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.receipts import (
    BATCH,
    BEFORE_ANY,
    ENVELOPE,
    SEAL,
    Receipt,
    Seal,
    command_digest,
    envelope,
    leaf,
    linked,
    read_seal,
    rooted,
    seal_body,
    seal_line,
    sha256,
    time_text,
)
from moie_worker.plan.times import Ms
from moie_worker.ports import Drop, Evidence, Receipts, Signer, Verifier, Waiting, Witness

PAGE = 1000  # receipts under one seal at most
OLD_SEALS = 32  # looked at for what may be dropped; each heartbeat that adds some drops as many
NO_KEY = "RECEIPTS ARE NOT SEALED: this worker can use no key, see its log"

log = logging.getLogger(__name__)


def receipt_of(plan: str, attempt: Attempt, job: Job, evidence: Evidence, kept: Mapping[str, Any]) -> str:
    """What a worker says of a job that it found verified, not signed yet. `kept` is what its evidence says too."""
    return Receipt(
        plan=plan,
        job=attempt.definition.verifies or job.id,
        revision=attempt.revision,
        definition=attempt.definition.digest,
        command=command_digest(job.verification_cmd or ""),
        attempt=attempt.attempts,
        token=attempt.token,
        exit_code=evidence.exit_code,
        output=evidence.sha256,
        output_bytes=evidence.output_bytes,
        host=kept["host"],
        worker=kept["worker"],
        started_at=kept["started_at"],
        ended_at=kept["ended_at"],
    ).to_json()


def signed(settlements: Sequence[Settlement], signer: Signer | None) -> list[Settlement]:
    """The settlements with their receipts under one signature: a signature costs more than all else of a receipt."""
    bodies = [each.receipt for each in settlements if each.receipt]
    if signer is None or not bodies:
        return list(settlements)
    root, proofs = rooted([leaf(body) for body in bodies])
    key_id, signature = signer.key_id, signer.sign(BATCH + root)
    made = (envelope(body, proof, key_id, signature) for body, proof in zip(bodies, proofs, strict=True))
    return [replace(each, receipt=next(made)) if each.receipt else each for each in settlements]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Closes the chain of receipts at each heartbeat. Without a signer it says so and does nothing."""

    signer: Signer | None
    verifier: Verifier
    kept: int  # receipts of a plan that are kept; whole seals go, so there may be some more
    who: str
    witness: Witness

    def seal(self, store: Receipts, plan: str, now: Ms) -> str:
        """Seal what waits; returns a line for the report, empty when nothing waited. Raises UnreachableError."""
        if self.signer is None:
            return NO_KEY
        known = self.witness.last(plan)  # before the seal is read: another worker may add to both meanwhile
        number = foreign = 0
        said: list[str] = []
        try:
            before = store.last_seal()
            last = self._trusted(before, plan)
            said += self._missing(last, known)
            while step := self._step(self.signer, store, before, last, now):
                number, foreign = number + step.number, foreign + step.foreign
                before, last = step.line, step.seal
                if step.number + step.foreign < PAGE:
                    break
        except RefusedError as error:
            log.error("the receipts of plan %s are not sealed: %s", plan, error)
            return f"RECEIPTS ARE NOT SEALED: {error}"
        if (last.count, last.head) != known and (known or last.count):
            quietly(lambda: self.witness.note(plan, last.count, last.head), f"remember the head of plan {plan}")
        if number or foreign:
            said.append(f"sealed: {number} receipts, {last.count} in all, head {last.head}")
        if foreign:
            said.append(f"removed from the receipts, not written by a worker: {foreign}")
        return "\n".join(said)

    def _missing(self, last: Seal, known: tuple[int, str] | None) -> list[str]:
        """A line when the chain in Redis is no longer the one that this machine knew; it goes on from what is there."""
        if known is None or last.count > known[0] or (last.count, last.head) == known:
            return []
        told = (
            f"RECEIPTS ARE MISSING: {known[0]} were sealed, head {known[1]}, and the newest seal is of receipt "
            f"{last.count}: Redis lost them, somebody removed them, or this is another Redis. What was exported before "
            "still proves them"
        )
        log.critical("plan %s: %s", last.plan, told)
        return [told]

    def _step(self, signer: Signer, store: Receipts, before: str, last: Seal, now: Ms) -> "_Step | None":
        """One seal; None when nothing waits, or somebody else sealed it meanwhile."""
        page = store.receipts_after(last.id, PAGE)
        if not page:
            return None
        foreign = [each.id for each in page if not ENVELOPE.fullmatch(each.packed)]
        ours = [each for each in page if ENVELOPE.fullmatch(each.packed)]
        seal = _sealing(last, ours, time_text(now), self.who)
        begins, drop = self._drop(store, seal)
        seal = replace(seal, begins=begins)
        signature = signer.sign(SEAL + seal_body(seal).encode())
        line = seal_line(seal, signer.key_id, signature)
        if not store.seal(before, line, foreign, drop):
            return None
        return _Step(line, seal, len(ours), len(foreign))

    def _trusted(self, line: str, plan: str) -> Seal:
        """The newest seal. Raises RefusedError for one that nobody we trust has made: the chain may be another's."""
        if not line:
            return Seal(plan=plan, begins=1, count=0, id="", head=BEFORE_ANY, sealed_at="", sealed_by="")
        try:
            found = read_seal(line)
            signature = bytes.fromhex(found.signature)
        except ValueError as error:
            raise RefusedError(f"the newest seal is none: {error}. Restore it from a backup of Redis") from None
        if found.seal.plan != plan or not self.verifier.verify(
            found.signer, SEAL + seal_body(found.seal).encode(), signature
        ):
            raise RefusedError(
                f"the newest seal (receipt {found.seal.count}) is not signed by a key trusted here ({found.signer}): "
                "`moie keys trust` the worker that made it, or restore it from a backup of Redis"
            )
        return found.seal

    def _drop(self, store: Receipts, seal: Seal) -> tuple[int, Drop | None]:
        """The number that the kept receipts begin with, and what goes for that."""
        begins, drop = seal.begins, None
        if seal.count - begins < self.kept:
            return begins, drop
        for number, line in enumerate(store.seals(0, OLD_SEALS)):
            try:
                old = read_seal(line).seal
            except ValueError:
                break  # somebody wrote into Redis; a verification will say where
            if seal.count - old.count < self.kept:
                break
            begins, drop = old.count + 1, Drop(number, old.id)
        return begins, drop


@dataclass(frozen=True, slots=True)
class _Step:
    line: str
    seal: Seal
    number: int
    foreign: int


def _sealing(last: Seal, receipts: Sequence[Waiting], at: str, who: str) -> Seal:
    """The seal behind some more receipts."""
    count, head, newest = last.count, last.head, last.id
    for each in receipts:
        count, newest = count + 1, each.id
        head = sha256(linked(count, each.id, head, each.packed))
    return Seal(
        plan=last.plan, begins=last.begins, count=count, id=newest, head=head, sealed_at=at, sealed_by=who
    )  # fmt: skip

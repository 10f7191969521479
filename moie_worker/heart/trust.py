"""Whose word counts about what is executed: signing a plan, checking a job before it runs."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import replace

from moie_worker.plan.compile import verified_digest
from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.model import Job
from moie_worker.plan.signing import REFUSED, signed_body
from moie_worker.ports import Signer, Verifier

SHOWN_ID = 16  # characters of a key's id that a reason shows; whoever forges one chooses it


def signed(plan: str, compiled: Compiled, jobs: Iterable[Job], author: Signer) -> Compiled:
    """The compiled plan with a signature on each of its jobs, which are given in its order."""
    own = [definition for definition in compiled.jobs if not definition.verifies]
    looks = [definition for definition in compiled.jobs if definition.verifies]
    pairs = [*zip(own, jobs, strict=True), *((look, Job.model_validate(look.job)) for look in looks)]
    return replace(compiled, jobs=tuple(_signed(plan, definition, job, author) for definition, job in pairs))


def _signed(plan: str, definition: Definition, job: Job, author: Signer) -> Definition:
    encoded = base64.b64encode(author.sign(signed_body(plan, job))).decode()
    return replace(definition, signature=f"{author.key_id}:{encoded}")


def objection(plan: str, definition: Definition, job: Job, authors: Verifier) -> str:
    """Why a job may not be executed; empty when a trusted author signed exactly this job of this plan."""
    if not definition.signature:
        return (
            f"{REFUSED}job {job.id} is not signed, and only what a trusted author signed is executed here. "
            "It was loaded without `--sign-key`, or somebody wrote to Redis who may not"
        )
    key_id, _, encoded = str(definition.signature).partition(":")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        signature = b""
    if definition.id == job.id and authors.verify(key_id, signed_body(plan, job), signature):
        return _mislabelled(definition, job)
    return (
        f"{REFUSED}the signature of job {job.id} by key {key_id[:SHOWN_ID]!r} does not hold: "
        "that key is not trusted here, or this is not what it signed"
    )


def _mislabelled(definition: Definition, job: Job) -> str:
    """The receipt of a job names its definition: an older one that was signed, too, must not leave that of a newer."""
    if definition.verifies or definition.digest == verified_digest(job):
        return ""
    return (
        f"{REFUSED}job {job.id} stands under the digest of another definition ({definition.digest[:SHOWN_ID]!r}): "
        "somebody wrote to Redis who may not, or a release that reckons otherwise loaded it; load the plan again"
    )

"""What an author signs of a job: everything that decides what is executed, and where.

When it runs is not signed: whoever writes to Redis can have a signed job run early, late, often or never.
"""

from hashlib import sha256

from moie_worker.plan.definition import canonical
from moie_worker.plan.model import Job

REFUSED = "refused: "  # how the reason of every dead letter begins that is about a signature
ALERT = "signatures:"  # the alert of a plan with such letters: this and its name
FORMAT = "moie-job-1"  # inside of what is signed: a field more here is another format
# Where and how it runs stands beside what runs: another queue is another machine.
EXECUTED = ("verification_cmd", "action", "timeout", "env", "pass_env", "cwd", "queue", "on_lease_lost")


def signed_body(plan: str, job: Job) -> bytes:
    """The bytes that are signed: canonical JSON, the same for every revision of the plan that leaves the job alone."""
    evidence = ("evidence",) if job.evidence is not None else ()  # taking it away must not go unseen either
    signed = job.model_dump(mode="json", include={*EXECUTED, *evidence})
    executed = canonical(signed | {"cyclic": job.cyclic})
    digest = sha256(executed.encode()).hexdigest()
    return canonical({"executed": digest, "format": FORMAT, "job": job.id, "plan": plan}).encode()

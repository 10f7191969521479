"""What an author signs of a job: everything that decides what is executed, and where.

When it runs is not signed: whoever writes to Redis can have a signed job run early, late, often or never.
"""

from hashlib import sha256

from moie_worker.plan.definition import canonical
from moie_worker.plan.model import Job

REFUSED = "refused: "  # how the reason of every dead letter begins that is about what may not be executed
ALERT = "refused:"  # the alert of a plan with such letters: this and its name
NOBODY_TRUSTED = (  # what a machine says of itself that requires signatures
    "no author is trusted here (any more): nothing is executed. `moie keys trust FILE`, or MOIE_TRUSTED_KEYS"
)
FORMAT = "moie-job-1"  # inside of what is signed: a field more here is another format
# Where and how it runs stands beside what runs: another queue is another machine.
EXECUTED = ("verification_cmd", "action", "timeout", "env", "pass_env", "cwd", "queue", "on_lease_lost")

ADDED = ("evidence", "run_as")  # signed where they are set: a job without them keeps the signature it had before


def signed_body(plan: str, job: Job) -> bytes:
    """The bytes that are signed: canonical JSON, the same for every revision of the plan that leaves the job alone."""
    later = {name for name in ADDED if getattr(job, name) is not None}  # taking one away must not go unseen either
    signed = job.model_dump(mode="json", include={*EXECUTED, *later})
    executed = canonical(signed | {"cyclic": job.cyclic})
    digest = sha256(executed.encode()).hexdigest()
    return canonical({"executed": digest, "format": FORMAT, "job": job.id, "plan": plan}).encode()

"""The verification command of a job, made in one place: `moie verify` runs what a worker would."""

from moie_worker.plan.model import Job
from moie_worker.ports import Command


def check_of(job: Job, token: str = "", slot: str = "") -> Command:
    """The check of a job; an empty command for a job without one. `token` and `slot` are those of an attempt."""
    return Command(
        cmd=job.verification_cmd or "",
        timeout=job.timeout,
        env=job.env,
        pass_env=job.pass_env,
        cwd=job.cwd,
        token=token,
        slot=slot,
        run_as=job.run_as,
    )

"""What a job waits for, and which phase is active: the two questions every step of the protocol asks again."""

from collections.abc import Callable, Iterable

from moie_worker.plan.definition import Definition
from moie_worker.plan.flow import SOVEREIGN


def frontier(open_phases: Iterable[int]) -> int:
    """The smallest phase that has unfinished work or an unanswered approval; SOVEREIGN when there is none.

    Computed, never stepped: phases are passed in order whatever ids they have.
    """
    return min(open_phases, default=SOVEREIGN)


def unmet(
    job: Definition, *, front: int, reached: int, awaits: Callable[[int], bool], completed: Callable[[str], bool]
) -> str | None:
    """The first thing that a job still waits for, or None when it may run.

    A job of the plan follows the frontier, so a regression freezes what is later. A cyclic job follows the high-water
    mark: once its phase was reached it watches for ever.
    """
    if job.idle:
        return "action"
    if not job.at_load:
        if job.phase > (reached if job.cyclic else front):
            return f"phase:{job.phase}"
        if awaits(job.phase):
            return f"approval:{job.phase}"
    return next((f"job:{need}" for need in job.needs if not completed(need)), None)

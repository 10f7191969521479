"""Whether a check says no where it must, and the same each time: judged from what running it gave."""

import shlex
from collections import Counter
from collections.abc import Sequence

from moie_worker.plan.lint.report import Finding
from moie_worker.plan.model import Job
from moie_worker.plan.states import Outcome

CHECK = "MOIE_CHECK"  # in the environment of a negative: the check itself, for `sh -c "$MOIE_CHECK"`
PASSES, BROKEN, FLAKY = "passes-on-negative", "negative-broken", "flaky"
KINDS = {
    PASSES: "`--prove`: the check said yes where it must say no: to its `expect_fail`, or in an empty directory",
    BROKEN: "`--prove`: the negative did not say no, but could not be run or did not end, which proves nothing",
    FLAKY: "`--runs N`: not all runs of the check ended alike; the flake score is the share that differs",
}


def negative(job: Job) -> str | tuple[str, ...]:
    """What must say no in an empty directory: the job's own negative, else its check."""
    return job.expect_fail.cmd if job.expect_fail is not None else job.verification_cmd or ""


def check_text(job: Job) -> str:
    """The check as a text for a shell."""
    command = job.verification_cmd or ""
    return command if isinstance(command, str) else shlex.join(command)


def proven(job: Job, outcome: Outcome, message: str) -> Finding | None:
    """What the end of a negative means; None when it said no."""
    if outcome is Outcome.FAILED:
        return None
    if outcome is not Outcome.PASSED:
        where = "expect_fail" if job.expect_fail is not None else "in an empty directory the check"
        return Finding(job.id, BROKEN, f"{where} did not say no, it could not be judged: {message}")
    if job.expect_fail is not None:
        return Finding(job.id, PASSES, "expect_fail said yes: the check does not see what it is there for")
    advice = "nothing shows that it can fail; write `expect_fail: {cmd: …}`, the case in which it must"
    return Finding(job.id, PASSES, f"says yes in an empty directory too, so {advice}")


def flake_score(outcomes: Sequence[Outcome]) -> float:
    """The share of runs that differ from the most frequent outcome: 0 when all are alike."""
    if not outcomes:
        return 0.0
    return 1 - Counter(outcomes).most_common(1)[0][1] / len(outcomes)


def flaky(job: Job, outcomes: Sequence[Outcome]) -> Finding | None:
    """What several runs of one check mean; None when all ended alike."""
    score = flake_score(outcomes)
    if not score:
        return None
    counted = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in Counter(outcomes).most_common())
    return Finding(job.id, FLAKY, f"flake score {score:.2f}: of {len(outcomes)} runs {counted}")


def kinds_table() -> str:
    """What running checks may find, as a table of Markdown."""
    lines = (f"| `{name}` | {text} |" for name, text in KINDS.items())
    return "\n".join(["| rule | what it finds |", "|---|---|", *lines]) + "\n"

"""A plan, looked at by every rule; and the page of the rules."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moie_worker.plan.lint.proves import proof
from moie_worker.plan.lint.rules import ALL_RULES, CHECK_RULES, JOB_RULES, LAST_RESORT, Check, rule_id
from moie_worker.plan.lint.script import parse
from moie_worker.plan.lint.status import ends, of_script
from moie_worker.plan.lint.words import UnreadableScriptError
from moie_worker.plan.model import Job, Plan


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says about the check of a job."""

    job: str
    rule: str
    message: str


def lint(plan: Plan) -> list[Finding]:
    """Every finding, in the order of the plan."""
    return [finding for _, job in plan.jobs() for finding in lint_job(job)]


def lint_job(job: Job) -> Iterator[Finding]:
    """The findings about one job. Never raises: of a text that no shell would understand there is nothing to say."""
    for rule in JOB_RULES:
        if message := rule(job):
            yield Finding(job.id, rule_id(rule), message)
    if (check := understood(job)) is None:
        return
    said = [(rule_id(rule), message) for rule in CHECK_RULES if (message := rule(check))]
    if not said and (message := LAST_RESORT(check)):
        said = [(rule_id(LAST_RESORT), message)]
    yield from (Finding(job.id, rule, message) for rule, message in said)


def understood(job: Job) -> Check | None:
    """The check of a job; None when it has none, or one that always fails for it cannot be read."""
    if job.verification_cmd is None:
        return None
    try:
        script = parse(job.verification_cmd)
    except UnreadableScriptError:
        return None
    status = of_script(script)
    fresh = job.evidence.files if job.evidence is not None else ()
    proofs = frozenset(proof(pipeline, fresh) for pipeline in status.deciders)
    return Check(job, script, status, tuple(ends(script)), proofs)


def finding_document(finding: Finding) -> dict[str, Any]:
    """As `moie lint --json` says it."""
    return {"job": finding.job, "rule": finding.rule, "message": finding.message}


def rules_table() -> str:
    """The rules as a table of Markdown, made from their docstrings."""
    rows = ((rule_id(rule), inspect.cleandoc(rule.__doc__ or "")) for rule in ALL_RULES)
    lines = (f"| `{name}` | {' '.join(text.split()).replace('|', chr(92) + '|')} |" for name, text in rows)
    return "\n".join(["| rule | what it finds |", "|---|---|", *lines]) + "\n"

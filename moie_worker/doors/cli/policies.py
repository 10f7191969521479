"""`moie policies`: the rules of this machine, what they mean for a job, and what they decided."""

from collections.abc import Iterator

import click

from moie_worker import settings
from moie_worker.doors.cli.desk import Desk, json_option, reads
from moie_worker.doors.cli.output import Styled, clock_time, print_json, print_table
from moie_worker.errors import NotFoundError
from moie_worker.plan.limits import DECISIONS
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.policies import Decision, Facts, Policies, Policy, deciding, facts_of, foresee
from moie_worker.plan.status_fields import time_or_none
from moie_worker.plan.texts import plural
from moie_worker.ports import Decided, Effect
from moie_worker.wiring import System

NAMED = 8  # jobs that a load names
STYLES = {Decision.ALLOW: "green", Decision.DENY: "red", Decision.APPROVE: "yellow", Decision.THROTTLE: "cyan"}
EFFECTS = {Effect.RUNS: "green", Effect.WAITS: "yellow", Effect.REFUSED: "red"}
RULE_HEADERS = ("#", "name", "decides", "when", "why")
DECISION_HEADERS = ("at", "job", "policy", "decides", "effect", "message")


@click.group("policies")
def policies_command() -> None:
    """The rules of MOIE_POLICIES: who may run what, when somebody must approve, and how often."""


@policies_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the rules of this machine in their order; the first that fits a job decides."""
    rules = _rules(System(settings.load()))
    if as_json:
        print_json([policy.model_dump(mode="json", exclude_none=True) for policy in rules.policies])
        return
    print_table(RULE_HEADERS, [_row(number, policy) for number, policy in enumerate(rules.policies, 1)], widest=3)


@policies_command.command("explain")
@click.argument("job_id", metavar="JOB")
@reads
def explain_command(desk: Desk, as_json: bool, job_id: str) -> None:
    """Say what the rules of this machine see of JOB of the loaded plan, and which of them decides. Nothing is kept."""
    desk.loaded()
    rules = _rules(desk.system)
    facts = facts_of(desk.plan, Job.model_validate(desk.store.job(job_id).definition.job))
    policy = deciding(rules, facts)
    if as_json:
        print_json(_explained(facts, policy))
        return
    for name, value in _explained(facts, policy)["facts"].items():
        click.echo(f"{name:<9} {', '.join(value) if isinstance(value, list) else value or '–'}")
    click.echo(f"{'decides':<9} {f'{policy.told} ({_decided(policy)})' if policy else 'no policy fits: allowed'}")


@policies_command.command("decisions")
@click.option("--job", "job_id", metavar="JOB", help="Only about this job.")
@click.option("--limit", type=click.IntRange(1, DECISIONS), default=20, show_default=True, help="At most so many.")
@reads
def decisions_command(desk: Desk, as_json: bool, job_id: str | None, limit: int) -> None:
    """List what rules decided on any worker, the newest first. The last 1,000 of a plan are kept."""
    desk.loaded()
    found = desk.system.rulings(desk.plan).decisions(DECISIONS if job_id else limit)
    shown = [one for one in found if job_id in (None, one.job)][:limit]
    if as_json:
        print_json([_fields(one) for one in shown])
        return
    print_table(DECISION_HEADERS, [_decision_row(one) for one in shown], widest=5, wrap=True)


def say_policies(system: System, plan: Plan) -> None:
    """What the rules of this machine will refuse or keep waiting of a plan that is loaded, on standard error."""
    if system.policies is None:
        return
    found = list(foresee(system.policies, system.settings.plan, plan))
    for one in found[:NAMED]:
        click.echo(f"  policy: job {one.job} {one.message}", err=True)
    if len(found) > NAMED:
        click.echo(f"  policy: … and {plural(len(found) - NAMED, 'job')} more", err=True)


def _rules(system: System) -> Policies:
    if system.policies is None:
        raise NotFoundError("no policies: MOIE_POLICIES is not set on this machine; without rules all is allowed")
    return system.policies


def _row(number: int, policy: Policy) -> tuple[str | Styled, ...]:
    when = ", ".join(f"{name}={'|'.join(patterns)}" for name, patterns in _conditions(policy))
    return f"{number}", policy.name, Styled(_decided(policy), STYLES[policy.decide]), when or "always", policy.why


def _conditions(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((name, patterns) for name, patterns in policy.when if patterns is not None)


def _decided(policy: Policy) -> str:
    return f"throttle, {policy.rate}" if policy.decide is Decision.THROTTLE else str(policy.decide)


def _explained(facts: Facts, policy: Policy | None) -> dict[str, dict[str, object]]:
    seen: dict[str, object] = {
        "plan": facts.plan, "job": facts.job, "queue": facts.queue, "action": facts.action,
        "user": facts.user, "programs": sorted(facts.programs),
    }  # fmt: skip
    if policy is None:
        return {"facts": seen, "ruled": {"policy": None, "decision": str(Decision.ALLOW), "why": ""}}
    return {"facts": seen, "ruled": {"policy": policy.name, "decision": str(policy.decide), "why": policy.why}}


def _fields(one: Decided) -> dict[str, object]:
    return {
        "at": time_or_none(one.at), "job": one.job, "policy": one.policy, "decision": one.decision,
        "effect": str(one.effect), "message": one.message, "worker": one.worker,
    }  # fmt: skip


def _decision_row(one: Decided) -> tuple[str | Styled, ...]:
    effect = Styled(str(one.effect), EFFECTS[one.effect])
    return clock_time(one.at), one.job, one.policy, one.decision, effect, one.message

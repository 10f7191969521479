"""Rules about what may run: the first one that fits a job decides. Pure: the same file and job, the same answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self, assert_never

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from moie_worker.errors import DocumentError, Problem
from moie_worker.plan.documents import Document, parse
from moie_worker.plan.duration import PositiveDuration, format_duration
from moie_worker.plan.fields import LINE, NAME, Title, Value, refuse
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.paths import problem, show_value

CHECK = "check"  # the kind of a job without an action
SHELL = "sh"  # the program of a command that is a text


class Decision(StrEnum):
    """What a rule says."""

    ALLOW = "allow"
    DENY = "deny"
    APPROVE = "approve"  # the phase of the job must ask for approval, and have it
    THROTTLE = "throttle"  # so many in some time; the others wait


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Pattern = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=LINE)]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_several), Field(min_length=1, max_length=1000)]


class Conditions(Value):
    """What a rule is about: all that is said must fit. Each is a shell pattern (`*`, `?`, `[ab]`) or a list of them."""

    action: Patterns | None = Field(None, description="The name of the action; `check` for a job without one.")
    program: Patterns | None = Field(
        None, description="What a command is executed by: its name, or with a `/` its path as written; `sh` for a text."
    )
    queue: Patterns | None = Field(None, description="The queue of the job.")
    plan: Patterns | None = Field(None, description="The name of the plan.")
    job: Patterns | None = Field(None, description="The id of the job.")
    user: Patterns | None = Field(None, description="The user of `run_as`; no pattern fits a job without.")


class Policy(Value):
    """One rule."""

    name: Annotated[str, StringConstraints(max_length=100, pattern=NAME)] = Field(description="What people call it.")
    decide: Decision = Field(description="What follows.")
    when: Conditions = Field(Conditions(), description="What it is about; everything, if absent.")
    why: Title = Field("", description="What whoever meets it is told.")
    at_most: int | None = Field(None, ge=1, le=10_000, strict=True, description="`throttle`: so many …")
    per: PositiveDuration | None = Field(None, description="… in any time of this length, in each plan.")

    @model_validator(mode="after")
    def _throttles_by_numbers(self) -> Self:
        for field in ("at_most", "per"):
            if (getattr(self, field) is None) == (self.decide is Decision.THROTTLE):
                needed = "is missing; `throttle` needs `at_most` and `per`"
                raise refuse(field, needed if self.decide is Decision.THROTTLE else "belongs to `throttle`; remove it")
        return self

    @property
    def told(self) -> str:
        """`policy night: nothing is deployed at night`"""
        return f"policy {self.name}" + (f": {self.why}" if self.why else "")

    @property
    def rate(self) -> str:
        """`at most 3 in 1h`, of a throttle"""
        return f"at most {self.at_most} in {format_duration(self.per or timedelta())}"


class Policies(Value):
    """A file of rules. What none of them fits is allowed."""

    policies: tuple[Policy, ...] = Field(max_length=1000)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [policy.name for policy in self.policies]
        for name in names:
            if names.count(name) > 1:
                raise refuse("policies", f"{name} is there twice; a name tells rules apart")
        return self


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may look at of a job."""

    plan: str
    job: str
    queue: str
    action: str
    user: str | None
    programs: frozenset[str]  # as written


def facts_of(plan: str, job: Job) -> Facts:
    """What rules see of a job of a plan."""
    action = job.action.use if job.action is not None else CHECK
    return Facts(plan, job.id, job.queue, action, job.run_as, frozenset(_programs(job)))


def _programs(job: Job) -> Iterator[str]:
    commands: list[Any] = [job.verification_cmd] if job.verification_cmd is not None else []
    if job.action is not None and job.action.use == "shell":
        commands.append(job.action.params.get("cmd"))
    for command in commands:
        if isinstance(command, str):
            yield SHELL
        elif isinstance(command, list | tuple) and command:
            yield str(command[0])


def deciding(rules: Policies, facts: Facts) -> Policy | None:
    """The first rule that fits; None where none does, which allows."""
    return next((policy for policy in rules.policies if fits(policy, facts)), None)


def fits(policy: Policy, facts: Facts) -> bool:
    """Whether a rule is about a job. What allows must fit all programs of a job, anything else only one."""
    when = policy.when
    single = ((when.action, facts.action), (when.queue, facts.queue), (when.plan, facts.plan), (when.job, facts.job))
    if not all(patterns is None or _any_fits(patterns, value) for patterns, value in single):
        return False
    if when.user is not None and (facts.user is None or not _any_fits(when.user, facts.user)):
        return False
    if when.program is None:
        return True
    fitting = [_program_fits(when.program, program) for program in facts.programs]
    return bool(fitting) and (all(fitting) if policy.decide is Decision.ALLOW else any(fitting))


def _any_fits(patterns: tuple[str, ...], value: str) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _program_fits(patterns: tuple[str, ...], program: str) -> bool:
    name = program.rpartition("/")[2]
    return any(fnmatchcase(program if "/" in pattern else name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a rule will do about a job of a document."""

    job: str
    policy: Policy
    message: str


def foresee(rules: Policies, name: str, plan: Plan) -> Iterator[Foreseen]:
    """What will be refused or kept waiting when this plan is loaded under this name."""
    for phase, job in plan.jobs():
        policy = deciding(rules, facts_of(name, job))
        if policy is not None and (said := _said(policy, phase.id, asks=phase.approval is not None)):
            yield Foreseen(job.id, policy, f"{said} ({policy.told})")


def _said(policy: Policy, phase: int, *, asks: bool) -> str:
    match policy.decide:
        case Decision.ALLOW:
            return ""
        case Decision.DENY:
            return "will be refused"
        case Decision.APPROVE:
            return "" if asks else f"will be refused until phase {phase} says `approval: required`"
        case Decision.THROTTLE:
            return f"will wait for its turn, {policy.rate}"
        case _ as never:
            assert_never(never)


def read_policies(data: bytes, name: str) -> Policies:
    """The rules in a file, YAML or JSON. Raises DocumentError naming each place."""
    document = parse(data, name)
    try:
        return Policies.model_validate(document.data)
    except ValidationError as error:
        raise DocumentError([_problem(detail, document) for detail in error.errors()]) from None


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    context = detail.get("ctx", {})
    field = context.get("field", "")
    path = (*detail["loc"], field) if field else detail["loc"]
    match detail["type"]:
        case "refused":
            message = str(context["message"])
        case "value_error":
            message = str(context["error"])
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            message = "is not a known field"
        case _:
            message = f"{detail['msg'].replace('Input should', 'must')}, not {show_value(detail['input'])}"
    return problem(path, message, document.line(path))

"""The plan of version 3: frozen values that refuse what cannot be meant. Older documents become this by `versions`."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Strict,
    Tag,
    model_validator,
)

from moie_worker.errors import NotFoundError
from moie_worker.plan.definition import canonical
from moie_worker.plan.duration import NO_TIME, Duration, PositiveDuration
from moie_worker.plan.evidence import EvidenceFiles, ExpectFail
from moie_worker.plan.fields import (
    ActionName,
    Argument,
    EnvName,
    Files,
    Id,
    JobIds,
    LongText,
    PhaseId,
    PhaseIds,
    Priority,
    QueueName,
    Risks,
    Shell,
    Text,
    Time,
    Title,
    UserName,
    Value,
    Words,
    refuse,
)
from moie_worker.plan.states import JobStatus, OnLeaseLost, Order, Overlap, Start
from moie_worker.plan.terms import Asking, CatchUpPolicy, Reverify, ReverifyPeriod

# The verification commands by which a v2 document says that a cyclic job never completes.
NEVER = ("false", "/bin/false", "exit 1")
SECOND = timedelta(seconds=1)
CYCLIC_ONLY = frozenset({"schedule", "overlap", "catch_up", "jitter", "grace", "start"})


class Kept(Value):
    """What an older document said that version 3 has no field for. Carried along, never interpreted."""

    fields: dict[str, JsonValue] = Field({}, description="The values, by their names in the older document.")
    order: tuple[str, ...] = Field((), description="The names of all fields in the older document, in their order.")


class Meta(Value):
    """What the plan is and where it came from."""

    project: Title = Field("", description="The name people know the plan by.")
    operator: Title = Field("", description="Who answers for it.")
    mode: Literal["daemon"] = Field("daemon", description="The plan is worked on until it is cancelled.")
    boot_time: Time | None = Field(None, description="When the system first started on the plan.")
    last_heartbeat: Time | None = Field(None, description="When the last heartbeat was recorded.")
    kept: Kept | None = Field(None, description="Fields of an older document.")


class Reserved(Value):
    """Phase ids that are left out on purpose."""

    ids: tuple[PhaseId, ...] = Field(min_length=1, description="Ids that no phase has.")
    reason: Text = Field(min_length=1, description="Why.")


class ActionSpec(Value):
    """How a job does something: a plugin and its parameters."""

    use: ActionName = Field(description="The name of the action, such as `shell`, `http` or `arxiv_scan`.")
    params: dict[str, JsonValue] = Field({}, alias="with", description="Its parameters.")


class Schedule(Value):
    """When a cyclic job runs: either `every` some time, or at the times of a `cron` expression."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["every"]}, {"required": ["cron"]}]})

    every: Annotated[PositiveDuration, Field(ge=SECOND)] | None = Field(None, description="The period, at least 1 s.")
    cron: str | None = Field(None, max_length=200, description="Five fields, or @daily and its kin.")
    timezone: str = Field("UTC", max_length=100, description="The time zone of `cron`, such as Europe/Berlin.")

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.every is None) == (self.cron is None):
            raise refuse("", "needs either `every` or `cron`, and not both")
        if self.every is not None and self.timezone != "UTC":
            raise refuse("timezone", "belongs to `cron`; `every` counts from the first slot in any time zone")
        return self


class Retry(Value):
    """How often and how soon a failed run is tried again. The wait is drawn between zero and the back-off."""

    max: Annotated[int, Strict()] = Field(3, ge=0, le=1000, description="Retries after the first attempt.")
    base: Duration = Field(SECOND, description="The back-off before the first retry.")
    factor: float = Field(
        2.0, ge=1, le=100, allow_inf_nan=False, description="Each next back-off is so many times longer."
    )
    cap: Duration = Field(timedelta(seconds=60), description="The longest back-off.")

    @model_validator(mode="after")
    def _cap_is_not_below_base(self) -> Self:
        if self.cap < self.base:
            raise refuse("cap", "is shorter than `base`; the longest back-off cannot be below the first")
        return self


def _command_form(value: Any) -> str:
    return "words" if isinstance(value, list | tuple) else "shell"


Command = Annotated[
    Annotated[Shell, Tag("shell")] | Annotated[Words, Tag("words")],
    Discriminator(_command_form),
]


class Job(Value):
    """One piece of work. It is done when its verification command exits with 0; a cyclic job never is."""

    id: Id = Field(description='Unique in the plan, without spaces; quote it: "1.10".')
    task: Title = Field(min_length=1, description="What is to be done, in one line.")
    description: LongText = Field("", description="What people need to know besides.")
    status: JobStatus = Field(
        JobStatus.PENDING,
        description="`cyclic` runs for ever. `completed` is what an export says; the job is verified all the same.",
    )
    verification_cmd: Command | None = Field(
        None, description="Exits with 0 when the job is done. A text is run by `sh -c`, a list as it is."
    )
    action: ActionSpec | None = Field(None, description="How the job is done: check, act, check again.")
    timeout: PositiveDuration = Field(timedelta(seconds=60), description="The time limit of one run of a command.")
    schedule: Schedule | None = Field(None, description="When a cyclic job runs.")
    retry: Retry = Field(Retry(), description="What follows a failed run.")
    overlap: Overlap = Field(Overlap.SKIP, description="When the next slot comes while the job still runs.")
    catch_up: CatchUpPolicy = Field(CatchUpPolicy(), description="When slots were missed.")
    jitter: Duration = Field(NO_TIME, description="Each slot is late by up to so much, always the same for one slot.")
    grace: Duration | None = Field(None, description="A later slot is missed; half the period, at most 1 h, if absent.")
    start: Start = Field(Start.PHASE, description="When a cyclic job starts: when its phase is reached, or at once.")
    deadline: PositiveDuration | None = Field(
        None, description="A job not done so long after its first attempt is dead."
    )
    queue: QueueName = Field("default", description="Workers of this queue run it.")
    priority: Priority = Field(0, description="A head start of a minute a step.")
    estimate: Title = Field("", description="How much work it is, for people.")
    files: Files = Field((), description="Files that it is about, for people.")
    risks: Risks = Field((), description="What may go wrong, for people.")
    depends_on: JobIds = Field((), description="Jobs that must be done first.")
    env: dict[EnvName, Argument] = Field({}, description="Environment variables of its commands.")
    pass_env: tuple[EnvName, ...] = Field((), description="Variables handed on from the worker's own environment.")
    cwd: Annotated[Argument, Field(min_length=1)] | None = Field(None, description="The directory its commands run in.")
    run_as: UserName | None = Field(None, description="The user its commands run as; that of the worker if absent.")
    on_lease_lost: OnLeaseLost = Field(OnLeaseLost.STOP, description="What happens to a command whose lease was lost.")
    evidence: EvidenceFiles | None = Field(None, description="Files that must be newer than the start of the job.")
    expect_fail: ExpectFail | None = Field(None, description="The case in which the check must say no.")
    reverify: Reverify | None = Field(
        None, description="Once verified, it is looked at again every so often; `never`: not even if the plan says so."
    )
    kept: Kept | None = Field(None, description="Fields of an older document.")

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.evidence is not None and self.verification_cmd is None:
            raise refuse("evidence", "belongs to a verification_cmd that looks at the files; write one")
        if self.expect_fail is not None and self.verification_cmd is None:
            raise refuse("expect_fail", "belongs to a verification_cmd that it is the negative of; write one")
        return self._checked_cyclic() if self.cyclic else self._checked_once()

    def _checked_once(self) -> Self:
        if self.verification_cmd is None:
            raise refuse("verification_cmd", "is missing; a job is done only when its verification command proves it")
        for name in sorted(self.model_fields_set & CYCLIC_ONLY):
            if getattr(self, name) == Job.model_fields[name].default:
                continue
            raise refuse(name, "belongs to cyclic jobs; remove it or write `status: cyclic`")
        return self

    def _checked_cyclic(self) -> Self:
        if self.deadline is not None:
            raise refuse("deadline", "a cyclic job is never done, so it has no deadline; remove it")
        if self.reverify is not None:
            raise refuse("reverify", "a cyclic job is never done, so it cannot stay verified; remove it")
        if self.idle and not self.never:
            raise refuse("verification_cmd", "is missing; a cyclic job needs a verification_cmd or an action to run")
        if self.schedule is None and not self.idle:
            raise refuse("schedule", "is missing; write when the cyclic job runs, such as {every: 10m}")
        return self

    @property
    def cyclic(self) -> bool:
        """True for a job that runs on its schedule and never completes."""
        return self.status is JobStatus.CYCLIC

    @property
    def idle(self) -> bool:
        """True for a cyclic job that has nothing to run, as older documents may have them."""
        return self.cyclic and self.verification_cmd is None and self.action is None

    @property
    def never(self) -> bool:
        """True when an older document marked the job as one that can never complete."""
        return self.kept is not None and self.kept.fields.get("verification_cmd") in NEVER

    def to_document(self) -> dict[str, Any]:
        """The job as a document of version 3 says it, without what is default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def to_json(self) -> str:
        """Canonical JSON: equal jobs have equal texts."""
        return canonical(self.to_document())

    @classmethod
    def from_json(cls, text: str | bytes) -> "Job":
        """Read what `to_json` wrote."""
        return cls.model_validate_json(text)


class Phase(Value):
    """A stage of the plan. Phases are reached in the order of their ids, each once."""

    id: PhaseId = Field(description="Its place in the order of phases.")
    name: Title = Field(min_length=1, description="What people call it.")
    order: Order = Field(Order.PARALLEL, description="`sequential`: each job waits for the one before it.")
    approval: Asking | None = Field(None, description="`required`: somebody must approve it first; or the terms of it.")
    depends_on: PhaseIds = Field((), description="Ids of phases that must be done first.")
    jobs: tuple[Job, ...] = Field(description="The jobs, at least one.")
    kept: Kept | None = Field(None, description="Fields of an older document.")


class Plan(Value):
    """A whole plan."""

    version: Literal[3] = Field(3, description="Of this format.")
    meta: Meta = Field(Meta(), description="What the plan is.")
    reserved: tuple[Reserved, ...] = Field((), description="Phase ids left out on purpose.")
    reverify: ReverifyPeriod | None = Field(
        None, description="Every verified job that does not say its own is looked at again this often."
    )
    phases: tuple[Phase, ...] = Field(description="The phases, at least one.")
    kept: Kept | None = Field(None, description="Fields of an older document.")

    def jobs(self) -> Iterator[tuple[Phase, Job]]:
        """All jobs, each with its phase, in order."""
        return ((phase, job) for phase in self.phases for job in phase.jobs)

    def job(self, job_id: str) -> Job:
        """One job by its id; looks at each, so build a dict to ask often. Raises NotFoundError."""
        for _, job in self.jobs():
            if job.id == job_id:
                return job
        raise NotFoundError(f"job {job_id!r}: the plan has no such job; `moie jobs` lists them")

    def phase(self, phase_id: int) -> Phase:
        """One phase by its id. Raises NotFoundError."""
        for phase in self.phases:
            if phase.id == phase_id:
                return phase
        raise NotFoundError(f"phase {phase_id}: the plan has {', '.join(str(phase.id) for phase in self.phases)}")

    def to_document(self) -> dict[str, Any]:
        """The plan as a document of version 3, without what is default."""
        return {"version": 3} | self.model_dump(mode="json", exclude_defaults=True)

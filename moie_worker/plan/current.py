"""The loaded plan as a document again, with where its jobs stand."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from moie_worker.plan.compile import decompile
from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.flow import Flags, JobView
from moie_worker.plan.model import Plan
from moie_worker.plan.states import JobStatus, Place
from moie_worker.plan.times import moment


def current_plan(meta: Mapping[str, Any], views: Iterable[JobView], flags: Flags) -> Plan:
    """The document that was loaded, its jobs completed or pending as they are now, with the last heartbeat."""
    plan = decompile(Compiled(meta, (), tuple(_with_status(view) for view in views)))
    if flags.last_heartbeat is None:
        return plan
    beaten = plan.meta.model_copy(update={"last_heartbeat": moment(flags.last_heartbeat)})
    return plan.model_copy(update={"meta": beaten})


def _with_status(view: JobView) -> Definition:
    job = dict(view.definition.job)
    if not view.definition.cyclic:
        job["status"] = JobStatus.COMPLETED if view.place is Place.COMPLETED else JobStatus.PENDING
    return replace(view.definition, job=job)

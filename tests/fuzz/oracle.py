"""What must hold of a document that was accepted, found without the product's own checks.

The document is read again by a reader of others, which knows texts only; the plan is brought to its end by hand.
"""

import json
from datetime import UTC, datetime
from typing import Any

import yaml

from moie_worker.errors import DocumentError
from moie_worker.plan.compile import compile_plan, decompile
from moie_worker.plan.definition import Compiled
from moie_worker.plan.model import Plan
from moie_worker.plan.older import to_v2
from moie_worker.plan.reading import read_plan
from moie_worker.plan.render import render
from tests.unit.plan.samples import ACTIONS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = 1_767_225_600_000
Outline = list[tuple[int, list[str]]]


class TwiceError(Exception):
    """A name is there twice in one mapping, or an id in one plan."""


class PlainLoader(yaml.CBaseLoader):
    """Every scalar is a text; a name that is there twice is an error; a plain << merges."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        pairs = [(self.construct_object(key, deep=True), value) for key, value in node.value if not _merges(key)]
        once([name for name, _ in pairs])
        own = {name: self.construct_object(value, deep=True) for name, value in pairs}
        merged: dict[str, Any] = {}
        for value in [value for key, value in node.value if _merges(key)]:
            found = self.construct_object(value, deep=True)
            for one in found if isinstance(found, list) else [found]:
                merged = one | merged
        return merged | own


def _merges(key: Any) -> bool:
    return key.value == "<<" and key.style is None


def accepted(data: bytes, name: str, *, again: bool) -> bool:
    """Read a document. False: it was refused. Raises AssertionError when it should have been and was not.

    With `again` the plan is written out and read back too, which takes as long as all the rest.
    """
    try:
        plan = read_plan(data, name=name, now=NOW, actions=ACTIONS).plan
    except DocumentError:
        return False
    compiled = compile_plan(plan, NOW_MS)
    assert said(plan) == outline(independent(data)), "the plan is not what the document says"
    assert comes_to_an_end(compiled), "accepted, and can never be brought to its end"
    if again:
        assert decompile(compiled) == plan
        same(plan)
    return True


def same(plan: Plan) -> None:
    """What is written out is read back: as version 3 the same plan, as version 2 the same jobs."""
    again = read_plan(render(plan.to_document(), "p.json").encode(), name="p.json", now=NOW, actions=ACTIONS).plan
    assert again == plan, "written out and read back it is another plan"
    older = read_plan(render(to_v2(plan).document, "p.json").encode(), name="p.json", now=NOW, actions=ACTIONS).plan
    assert [(phase, sorted(jobs)) for phase, jobs in said(older)] == [
        (phase, sorted(jobs)) for phase, jobs in said(plan)
    ], "as version 2 it has other jobs"


def said(plan: Plan) -> Outline:
    """The phases and their jobs."""
    return [(phase.id, [job.id for job in phase.jobs]) for phase in plan.phases]


def independent(data: bytes) -> Any:
    """The document with texts in place of numbers. Raises TwiceError, or an error of the reader."""
    text = data.decode("utf-8-sig")
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    except ValueError:
        return yaml.load(text, Loader=PlainLoader)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once([name for name, _ in pairs])
    return dict(pairs)


def once(names: list[Any]) -> None:
    """Raise TwiceError unless all are different."""
    if len(set(names)) < len(names):
        raise TwiceError(names)


def outline(document: Any) -> Outline:
    """The phases of a document, in the order of their ids, and their jobs. Raises TwiceError where an id is twice."""
    phases = [(int(phase["id"]), [str(job["id"]) for job in phase["jobs"]]) for phase in document["phases"]]
    once([phase for phase, _ in phases])
    once([job for _, jobs in phases for job in jobs])
    return sorted(phases)


def comes_to_an_end(compiled: Compiled) -> bool:
    """Phase after phase every job is done as soon as what it waits for is; none is left."""
    done: set[str] = set()
    for phase in sorted({phase.id for phase in compiled.phases}):
        left = [job for job in compiled.jobs if job.phase == phase and not job.cyclic]
        while left:
            ready = {job.id for job in left if done.issuperset(job.needs)}
            if not ready:
                return False
            done |= ready
            left = [job for job in left if job.id not in ready]
    return all(done.issuperset(job.needs) for job in compiled.jobs)

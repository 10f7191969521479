"""What can be asked of a plan. Nothing here changes anything."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moie_worker.adapters.redis import records
from moie_worker.adapters.redis.base import Base
from moie_worker.errors import NotFoundError
from moie_worker.plan.definition import Definition, PhaseDefinition
from moie_worker.plan.flow import (
    BEFORE_ANY,
    Flags,
    JobView,
    JournalEntry,
    Overview,
    Regression,
)
from moie_worker.plan.states import Place

FIELDS = ("place", "drev", "rev", "attempts", "losses", "solo", "offers", "ms", "first", "score", "slot", "token")
CHUNK = 1000
_Flat = Sequence[str]  # a hash or a set as scripts return it
LOOK = "look"  # the class of what looks at verified jobs again


class Reading(Base):
    """Reads."""

    def overview(self) -> Overview:
        """Flags, phases and counts, in one round trip. Raises DamagedError, as all that reads here."""
        answer = self.call("overview")
        with self.readable("flags, phases or counts"):
            return self._overview(*answer)

    def _overview(
        self, now: str, flat_plan: _Flat, flat_phases: _Flat, open_phases: _Flat, flat_counts: _Flat,
        flat_approvals: _Flat, dead: str, regressed: str, imported: str,
    ) -> Overview:  # fmt: skip
        plan, counts = _hash(flat_plan), _hash(flat_counts)
        phases = sorted(map(PhaseDefinition.from_json, _hash(flat_phases).values()), key=lambda phase: phase.id)
        asking = [str(phase.id) for phase in phases if phase.approval]
        approvals, unfit = records.requests(_hash(flat_approvals), asking, self.key("approvals"))
        breakers, unfit_too = records.breakers(plan)
        return Overview(
            flags=_flags(self.plan, plan),
            now=int(now),
            phases=tuple(phases),
            open_phases=frozenset(map(int, open_phases)),
            counts=_counts(counts),
            approvals=approvals,
            dead_letters=int(dead),
            queues=tuple(json.loads(plan.get("queues", "[]"))),
            breakers=breakers,
            looks=_looks(counts),
            regressed=int(regressed),
            imported=int(imported),
            unreadable=(*unfit_too, *unfit),
        )

    def queues(self) -> list[str]:
        """The queues that the jobs of the plan are in."""
        with self.reaching():
            text = str(self.client.hget(self.key("plan"), "queues") or "[]")
        with self.readable("the queues"):
            return [str(queue) for queue in json.loads(text)]

    def meta(self) -> dict[str, Any]:
        """What the document says besides its jobs."""
        with self.reaching():
            text = self.client.hget(self.key("plan"), "meta")
        with self.readable("the head"):
            return dict(json.loads(str(text))) if text else {}

    def job(self, job: str) -> JobView:
        """One job with its state."""
        found = self._views([job])
        if not found:
            raise NotFoundError(f"no job {job!r}")
        return found[0]

    def in_places(self, places: Sequence[Place], limit: int) -> list[JobView]:
        """At most so many jobs of some places that keep an order: timed, ready, waiting, sent, running."""
        with self.reaching():
            found = self._ordered(list(self._order_keys(places)), limit)
            if Place.RUNNING in places:
                found += [(0.0, job) for job in self._running(limit)]
        return self._views([job for _, job in sorted(found)[:limit]])

    def _ordered(self, keys: Sequence[str], limit: int) -> list[tuple[float, str]]:
        with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.zrange(key, 0, limit - 1, withscores=True)
            orders = pipe.execute()
        return [(float(score), str(job)) for order in orders for job, score in order]

    def _running(self, limit: int) -> list[str]:
        tokens: list[Any] = list(self.client.zrange(self.key("leases"), 0, limit - 1))
        records: list[Any] = self.client.hmget(self.key("attempts"), tokens) if tokens else []
        with self.readable("an attempt"):
            return [str(json.loads(record)["job"]) for record in records if record]

    def _order_keys(self, places: Sequence[Place]) -> Iterator[str]:
        if Place.TIMED in places:
            yield self.key("timed")
        for queue in self.queues():
            if Place.READY in places:
                yield self.key("ready", queue, "cyclic")
                yield self.key("ready", queue, "job")
            for place in (Place.WAITING, Place.SENT):
                if place in places:
                    yield self.key(place, queue)

    def all_jobs(self) -> Iterator[JobView]:
        """Every job of the document, in no order; reads in pieces."""
        cursor = 0
        while True:
            with self.reaching():
                cursor, page = self.client.hscan(self.key("state"), cursor, count=CHUNK)
            views = self._views([str(job) for job in page])
            yield from (view for view in views if not view.definition.verifies)
            if cursor == 0:
                return

    def _views(self, jobs: Sequence[str]) -> list[JobView]:
        if not jobs:
            return []
        with self.reaching():
            packed: list[Any] = self.client.hmget(self.key("state"), list(jobs))
        states = {job: self._unpack(job, text) for job, text in zip(jobs, packed, strict=True) if text}
        with self.reaching(), self.client.pipeline(transaction=False) as pipe:
            for job, state in states.items():
                pipe.hget(self.key("defs", state["drev"]), job)
                pipe.hget(self.key("evidence"), job)
            answers = pipe.execute()
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return [
            self._view(job, definition, states[job], evidence)
            for job, (definition, evidence) in zip(states, pairs, strict=True)
            if definition
        ]

    def _unpack(self, job: str, packed: str) -> dict[str, str]:
        with self.readable(f"the state of job {job}"):
            return dict(zip(FIELDS, packed.removesuffix("|").split("|"), strict=True))

    def _view(self, job: str, definition: str, state: Mapping[str, str], evidence: str | None) -> JobView:
        with self.readable(f"job {job}"):
            return _view(definition, state, evidence)

    def regressions(self, limit: int) -> list[Regression]:
        """At most so many jobs that held and hold no more, the oldest first."""
        with self.reaching():
            oldest: Any = self.client.zrange(self.key("regressed"), 0, limit - 1, withscores=True)
        since = {str(job): int(at) for job, at in oldest}
        jobs = {view.definition.id: view.definition for view in self._views(list(since))}
        found = [(jobs[job], at) for job, at in since.items() if job in jobs]
        if not found:
            return []
        with self.reaching():
            told: Any = self.client.hmget(self.key("evidence"), [job.reverified_by for job, _ in found])
        with self.readable("what is told of a regression"):
            return [
                Regression(job, at, json.loads(text) if text else {})
                for (job, at), text in zip(found, told, strict=True)
            ]

    def cyclic(self) -> list[str]:
        """Ids of the cyclic jobs of the document."""
        with self.reaching():
            return sorted(str(job) for job in self.client.smembers(self.key("cyclics")))

    def read_journal(self, limit: int) -> list[JournalEntry]:
        """The newest entries, oldest first."""
        return self._entries("journal", limit)

    def read_acts(self, limit: int) -> list[JournalEntry]:
        """The newest entries of what people and the plan did, oldest first: they outlast the journal."""
        return self._entries("acts", limit)

    def _entries(self, stream: str, limit: int) -> list[JournalEntry]:
        with self.reaching():
            rows: list[Any] = list(self.client.xrevrange(self.key(stream), count=limit) or ())
        with self.readable(f"the stream {stream}"):
            return [_entry(number, fields) for number, fields in reversed(rows)]


def _hash(flat: Sequence[str]) -> dict[str, str]:
    """A hash as scripts return it."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _flags(name: str, raw: Mapping[str, str]) -> Flags:
    def number(field: str) -> int | None:
        return int(raw[field]) if field in raw else None

    return Flags(
        name=name,
        revision=number("revision") or 0,
        paused=raw.get("paused") == "1",
        cancelled=raw.get("cancelled") == "1",
        loading=raw.get("loading") == "1",
        frontier=int(raw.get("frontier", BEFORE_ANY)),
        reached=int(raw.get("reached", BEFORE_ANY)),
        look_before=number("look_before") or 0,
        last_heartbeat=number("last_heartbeat"),
        beats=number("beats") or 0,
        sovereign_at=number("sovereign_at"),
    )


def _counts(raw: Mapping[str, str]) -> dict[tuple[int, bool, Place], int]:
    own = [fields for fields in _split(raw) if fields[1] != LOOK]
    return {(int(phase), kind == "cyclic", Place(place)): number for phase, kind, place, number in own}


def _looks(raw: Mapping[str, str]) -> dict[Place, int]:
    found: Counter[Place] = Counter()
    for _, kind, place, number in _split(raw):
        if kind == LOOK:
            found[Place(place)] += number
    return dict(found)


def _split(raw: Mapping[str, str]) -> list[tuple[str, str, str, int]]:
    """Phase, class and place of jobs, and how many; besides these the counts say how many jobs of a phase are open."""
    split = ((field.split(":"), int(number)) for field, number in raw.items() if field.count(":") == 2)
    return [(phase, kind, place, number) for (phase, kind, place), number in split]


def _view(definition: str, state: Mapping[str, str], evidence: str | None) -> JobView:
    place = Place(state["place"])
    return JobView(
        definition=Definition.from_json(definition),
        place=place,
        revision=int(state["rev"]),
        attempts=int(state["attempts"]),
        losses=int(state["losses"]),
        first_at=int(state["first"]),
        due=int(state["score"]) if place == Place.TIMED else 0,
        slot=int(state["slot"]),
        token=state["token"],
        evidence=json.loads(evidence) if evidence else {},
    )


def _entry(number: str, fields: Mapping[str, str]) -> JournalEntry:
    return JournalEntry(
        id=number,
        at=int(number.split("-", maxsplit=1)[0]),
        event=fields["event"],
        job=fields["job"],
        who=fields["who"],
        why=fields["why"],
        data=json.loads(fields["data"]),
    )

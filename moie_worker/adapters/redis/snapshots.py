"""Snapshots of a plan in Redis: read from a capture in pieces, restored like a load, kept beside the plan."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, cast

from redis.client import NEVER_DECODE

from moie_worker.adapters.redis.base import UNFIT, Base
from moie_worker.adapters.redis.loading import CHANGED, CHUNK, STAGE_TTL_S, Loading
from moie_worker.adapters.redis.records import is_request
from moie_worker.errors import RefusedError
from moie_worker.plan.definition import canonical
from moie_worker.plan.flow import Stopped
from moie_worker.plan.limits import SNAPSHOT_BYTES, SNAPSHOTS
from moie_worker.plan.snapshot import KEPT, OPEN, SCORED, Manifest, Saved, SavedJob, order
from moie_worker.plan.states import Place

FLAGS = ("paused", "cancelled", "frontier", "reached")
PASSING = ("claimed_until",)  # fields of a letter that say what somebody does just now
WINDOW = "window_failures"  # counts what a log holds that is not saved
PAGE = 10_000  # fields read at once: some milliseconds of Redis
LIVE = "captured_live"  # the capture of a plan whose jobs are too many to be copied
LIVE_PAGE = 1000  # jobs read together
PLACES = frozenset(map(str, KEPT))
SCORES = frozenset(map(str, SCORED))
DEAD, CANCELLED = str(Place.DEAD), str(Place.CANCELLED)


@dataclass(frozen=True, slots=True)
class Texts:
    """What Redis holds of jobs, by job."""

    states: dict[str, str]
    definitions: dict[str, str]
    evidence: dict[str, str]

    def lines(self, letters: Mapping[str, object], gone: set[str]) -> list[str]:
        """As they stand in a snapshot, without those that are gone."""
        defined, told = self.definitions, self.evidence.get
        jobs = ((job, packed) for job, packed in self.states.items() if job not in gone)
        return [_line(job, packed, defined[job], told(job, ""), letters) for job, packed in jobs]


class Saving(Loading):
    """Capture, read, restore."""

    def capture(self) -> str:
        """Hold fast where every job stands now, in one step; returns the name of the capture. It goes by itself."""
        return str(self.call("capture"))

    def captures(self) -> list[str]:
        """Captures that promotions left, the oldest first."""
        with self.reaching():
            return [str(number) for number in self.client.lrange(self.key("captures"), 0, -1)]

    def drop(self, capture: str) -> None:
        """The capture was saved."""
        self.call("drop_capture", {"number": capture})

    def saved(self, capture: str) -> Saved | None:
        """Read a capture in pieces; None when it is gone, or when another revision was loaded meanwhile.

        Raises DamagedError.
        """
        with self.readable("a capture"):
            return self._saved(capture)

    def _saved(self, capture: str) -> Saved | None:
        plan = self._all("capture", capture, "plan")
        if not plan.get("revision") or plan.get("loading") == "1":
            return None
        gone = self._removed()  # before the jobs: only a load removes more, and then there is no snapshot
        jobs = self._live(plan["revision"]) if plan.get(LIVE) else self._copied(capture, plan["revision"])
        if jobs is None:
            return None
        letters = dict(self._letters())  # behind the jobs: of each that died there is one, if nobody discarded it
        return Saved(
            plan=self.plan,
            revision=int(plan["revision"]),
            at=int(plan["captured_at"]),
            journal=plan["captured_journal"],
            flags={name: plan[name] for name in FLAGS if name in plan},
            meta=json.loads(plan["meta"]),
            phases=self._all("capture", capture, "phases"),
            approvals=self._requests(capture),
            letters=letters,
            totals=dict(self._totals()),
            lines=order(jobs.lines(letters, gone)),
        )

    def _requests(self, capture: str) -> dict[str, str]:
        """What was asked and answered; what nobody can read asks again."""
        texts = self._all("capture", capture, "approvals")
        return {phase: _request(text) for phase, text in texts.items() if is_request(phase, text)}

    def _all(self, *parts: str) -> dict[str, str]:
        """A hash; a large one in pieces."""
        key = self.key(*parts)
        with self.reaching():
            if self.client.hlen(key) <= PAGE:
                return cast(dict[str, str], self.client.hgetall(key))
            return dict(self.client.hscan_iter(key, count=PAGE))

    def _copied(self, capture: str, revision: str) -> Texts | None:
        """The jobs of one moment; None when their definitions are gone."""
        found = Texts(
            self._all("capture", capture, "state"),
            self._all("defs", revision),
            self._all("capture", capture, "evidence"),
        )
        return found if found.states.keys() <= found.definitions.keys() else None

    def _live(self, revision: str) -> Texts | None:
        """The jobs of a large plan while it goes on, each as it stood at one moment; None after another load."""
        found = Texts({}, {}, {})
        with self.reaching():
            for page in self._pages():
                self._read_together(page, revision, found)
            now = self.client.hmget(self.key("plan"), "revision", "loading")
        return found if now == [revision, None] else None

    def _pages(self) -> Iterator[list[str]]:
        """The ids of all jobs, some at a time; one may come twice."""
        page: list[str] = []
        for job, _ in self.client.hscan_iter(self.key("state"), count=LIVE_PAGE):
            page.append(str(job))
            if len(page) == LIVE_PAGE:
                yield page
                page = []
        if page:
            yield page

    def _read_together(self, jobs: list[str], revision: str, found: Texts) -> None:
        """Add some jobs, of one moment."""
        parts = (("state",), ("defs", revision), ("evidence",))
        with self.client.pipeline(transaction=True) as pipe:
            for part in parts:
                pipe.hmget(self.key(*part), jobs)
            columns = pipe.execute()
        for known, column in zip((found.states, found.definitions, found.evidence), columns, strict=True):
            known.update((job, text) for job, text in zip(jobs, column, strict=True) if text is not None)

    def _removed(self) -> set[str]:
        """Jobs that the plan no longer has; they are there only until their attempts end."""
        attempts = map(json.loads, self._all("attempts").values())
        return {attempt["job"] for attempt in attempts if attempt.get("stopped") == Stopped.REMOVED}

    def _letters(self) -> Iterator[tuple[str, dict[str, str]]]:
        with self.reaching():
            letters = [str(letter) for letter in self.client.zrange(self.key("dead"), 0, -1)]
        for letter, fields in self._hashes("dead", letters):
            yield letter, {name: value for name, value in fields.items() if name not in PASSING}

    def _totals(self) -> Iterator[tuple[str, dict[str, str]]]:
        with self.reaching():
            jobs = sorted(str(job) for job in self.client.smembers(self.key("cyclics")))
        for job, fields in self._hashes("cyc", jobs):
            yield job, {name: value for name, value in fields.items() if name != WINDOW}

    def _hashes(self, kind: str, names: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Those that are there, some at a time."""
        for start in range(0, len(names), CHUNK):
            some = names[start : start + CHUNK]
            with self.reaching(), self.client.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hgetall(self.key(kind, name))
                found = pipe.execute()
            yield from ((name, fields) for name, fields in zip(some, found, strict=True) if fields)

    def restore(
        self, saved: Saved, base: int, who: str, why: str, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Stage and commit what was saved over revision `base`; returns the new revision. `apply` does the rest.

        Raises RefusedError when somebody else changed the plan.
        """
        self._refuse_unless_at(base)
        stage = secrets.token_hex(8)
        keys = [self.key("stage", stage, part) for part in ("defs", "todo", "restored")]
        for start in range(0, len(saved.jobs), CHUNK):
            chunk = saved.jobs[start : start + CHUNK]
            self._stage(keys, chunk, saved)
            progress(len(chunk))
        with self.reaching():
            self._stage_gone({job.id for job in saved.jobs}, keys[1])
        revision = self.act("commit_restore", _committed(saved, base, who, why), keys)
        if not revision:
            raise RefusedError(CHANGED)
        return int(revision)

    def _stage(self, keys: list[str], jobs: tuple[SavedJob, ...], saved: Saved) -> None:
        definitions, todo, restored = keys
        with self.reaching(), self.client.pipeline(transaction=False) as pipe:
            pipe.hset(definitions, mapping={job.id: job.definition for job in jobs})
            pipe.rpush(todo, *(job.id for job in jobs))
            pipe.hset(restored, mapping={job.id: _staged(job, saved) for job in jobs})
            for key in keys:
                pipe.expire(key, STAGE_TTL_S)
            pipe.execute()


class RedisShelf(Base):
    """Snapshots beside the plan that they are of."""

    @property
    def where(self) -> str:
        """In words of people."""
        return f"Redis at {self._where}"

    def put(self, manifest: Manifest, data: bytes) -> None:
        """Keep a snapshot as a whole, and remove what is too many."""
        self.call(
            "snapshot_keep",
            {
                "name": manifest.name,
                "kind": manifest.kind,
                "manifest": manifest.to_json(),
                "data": data,
                "most": SNAPSHOTS,
                "most_bytes": SNAPSHOT_BYTES,
                "ahead": manifest.ahead,
            },
        )

    def index(self) -> list[Manifest]:
        """What is kept of the plan, the oldest first; what cannot be read is left out."""
        with self.reaching():
            texts = cast(dict[str, str], self.client.hgetall(self.key("snapshots")))
        found: list[Manifest] = []
        for _, text in sorted(texts.items()):
            with suppress(*UNFIT):
                found.append(Manifest.from_json(text))
        return found

    def get(self, name: str) -> bytes | None:
        """The file of a snapshot; None when it is not here."""
        with self.reaching():
            read: Any = self.client.execute_command
            found = read("GET", self.key("snapshot", name), **{NEVER_DECODE: []})
        return cast("bytes | None", found)


def _line(job: str, packed: str, definition: str, evidence: str, letters: Mapping[str, object]) -> str:
    """A job as it is saved, from the packed text of its state: there are many, so no object is made of each."""
    place, _, _, attempts, losses, solo, _, ms, first, score, slot, _ = packed.split("|", 11)
    if place not in SCORES:
        score = "0"
        if place not in PLACES:
            # Begun and not ended counts as never begun.
            attempts = str(max(0, int(attempts) - 1)) if place == Place.RUNNING else attempts
            place = OPEN
        elif place == DEAD and f"job:{job}" not in letters:  # the letter was discarded since the capture
            place = CANCELLED
    return f"{job}\t{place}|{attempts}|{losses}|{solo}|{ms}|{first}|{score}|{slot}\t{definition}\t{evidence}"


def _request(text: str) -> str:
    """A request with its keys in order; Lua writes them in any, and an empty list as {}."""
    fields = json.loads(text)
    return canonical(fields | {"yes": fields.get("yes") or []})


def _staged(job: SavedJob, saved: Saved) -> str:
    fields = asdict(job)
    del fields["id"], fields["definition"]
    return json.dumps(
        fields
        | {"letter": _flat(saved.letters.get(f"job:{job.id}", {})), "totals": _flat(saved.totals.get(job.id, {}))}
    )


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [text for pair in fields.items() for text in pair]


def _committed(saved: Saved, base: int, who: str, why: str) -> dict[str, Any]:
    revision = (base or saved.revision) + 1
    others = {letter: _flat(fields) for letter, fields in saved.letters.items() if not letter.startswith("job:")}
    phases = [{"id": int(phase), "text": text} for phase, text in sorted(saved.phases.items())]
    return {
        "base": base,
        "revision": revision,
        "meta": canonical(saved.meta),
        "phases": canonical(phases),
        "queues": json.dumps(saved.queues),
        "approvals": canonical(dict(saved.approvals)),
        "letters": canonical(others),
        "flags": canonical(dict(saved.flags)),
        "who": who,
        "why": why,
        "data": json.dumps({"revision": revision, "saved_revision": saved.revision, "saved_at": saved.at}),
    }

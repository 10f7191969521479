"""The journal in sentences: one wording for every kind of event, used by all who show it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moie_worker.plan.fields import format_time
from moie_worker.plan.flow import JournalEntry
from moie_worker.plan.status import all_verified
from moie_worker.plan.times import Ms, moment

Sentence = Callable[[JournalEntry], str]


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries somebody wants to see."""

    job: str | None = None
    events: tuple[str, ...] = ()  # names, or their first words; none: all
    since: Ms | None = None

    def means(self, entry: JournalEntry) -> bool:
        """Whether an entry is one of them."""
        return (
            self.job in (None, entry.job)
            and (not self.events or any(f"{entry.event}.".startswith(f"{event}.") for event in self.events))
            and (self.since is None or entry.at >= self.since)
        )


ACTS_AT_JOBS = frozenset({"job.cancel", "job.retry", "job.run"})


def is_act(event: str) -> bool:
    """Whether people or the plan did it: such entries are kept apart from how attempts ended, and outlast that."""
    return event in ACTS_AT_JOBS or not (event == "heartbeat" or event.startswith("job."))


def merged(journal: Iterable[JournalEntry], acts: Iterable[JournalEntry]) -> list[JournalEntry]:
    """Each entry once, oldest first. Ids of a journal that was dropped may come again, for something else."""
    found = {(entry.id, entry.event, entry.job): entry for entries in (acts, journal) for entry in entries}
    return sorted(found.values(), key=lambda entry: [int(part) for part in entry.id.split("-")])


def line(entry: JournalEntry) -> str:
    """`- **YYYY-mm-dd HH:MM:SS**: message`, in UTC."""
    return f"- **{moment(entry.at):%Y-%m-%d %H:%M:%S}**: {sentence(entry)}"


def sentence(entry: JournalEntry) -> str:
    """One line that says what happened, by whom and why."""
    wording = SENTENCES.get(entry.event)
    text = wording(entry) if wording else _by(entry, f"{entry.event} {entry.job}".strip())
    return " ".join(text.split())


def journal_fields(entry: JournalEntry) -> dict[str, Any]:
    """An entry as `moie journal --json` says it."""
    return {
        "id": entry.id,
        "at": format_time(moment(entry.at)),
        "event": entry.event,
        "job": entry.job or None,
        "who": entry.who or None,
        "why": entry.why or None,
        "data": dict(entry.data),
        "message": sentence(entry),
    }


def _by(entry: JournalEntry, text: str) -> str:
    return text + (f" by {entry.who}" if entry.who else "") + (f": {entry.why}" if entry.why else "")


def _plain(text: str) -> Sentence:
    """What people did: `{job}` and the figures of the entry may stand in the text."""
    return lambda entry: _by(entry, text.format_map(_Figures(dict(entry.data) | {"job": entry.job})))


def _sovereign(entry: JournalEntry) -> str:
    return f"SOVEREIGN: {all_verified(int(entry.data.get('imported', 0)))}; cyclic jobs run on"


def _ended(text: str) -> Sentence:
    """How an attempt ended: what it said, and where it ran."""

    def wording(entry: JournalEntry) -> str:
        where = f" (on {entry.who})" if entry.who else ""
        return f"job {entry.job} {text}" + (f": {entry.why}" if entry.why else "") + where

    return wording


def _heartbeat(entry: JournalEntry) -> str:
    """The report on one line; its own time is left out, the line has one."""
    first, *rest = str(entry.data.get("report", "")).split("\n")
    standing = first.partition(" – ")[2] or first
    return "; ".join(["heartbeat" + (f" – {standing}" if standing else ""), *rest])


class _Figures(dict[str, Any]):
    """Figures that an older entry lacks are shown as a question mark."""

    def __init__(self, figures: Mapping[str, Any]) -> None:
        super().__init__(figures)

    def __missing__(self, name: str) -> str:
        return "?"


SENTENCES: dict[str, Sentence] = {
    "heartbeat": _heartbeat,
    "plan.loaded": _plain("plan loaded as revision {revision}"),
    "plan.restored": _plain("plan restored as revision {revision} from a snapshot of revision {saved_revision}"),
    "plan.paused": _plain("plan PAUSED"),
    "plan.resumed": _plain("plan resumed"),
    "plan.cancelled": _plain("plan CANCELLED: nothing new begins, what runs is stopped"),
    "plan.sovereign": _sovereign,
    "phase.reached": _plain("phase {phase} reached"),
    "phase.asked": _plain("phase {phase} asks for approval"),
    "phase.endorsed": _plain("phase {phase} approved; one more person must approve it"),
    "phase.approved": _plain("phase {phase} approved"),
    "phase.expired": _plain("phase {phase} was NOT APPROVED in time, which means no"),
    "phase.rejected": _plain("phase {phase} REJECTED"),
    "queue.stopped": _plain("queue {queue} STOPPED: nearly everything in it fails"),
    "queue.resumed": _plain("queue {queue} takes work again"),
    "job.held": _plain("job {job} waits for its queue instead of dying"),
    "job.passed": _ended("verified"),
    "job.failed": _ended("failed its check"),
    "job.broken": _ended("could not be run"),
    "job.timed_out": _ended("ran into its time limit"),
    "job.cancelled": _ended("was stopped and is cancelled"),
    "job.lost": _ended("was lost: its worker went away; it is offered again"),
    "job.superseded": _ended("changed while it ran; it is verified again"),
    "job.repaired": _ended("was put right by the audit"),
    "job.removed": _ended("was removed from the plan"),
    "job.dead": _ended("is DEAD"),
    "job.cancel": _plain("job {job} taken out of the plan"),
    "job.retry": _plain("job {job} started anew"),
    "job.regressed": _ended("REGRESSED: it was verified, and is open again"),
    "job.recovered": _ended("holds again: its regression is over"),
    "job.run": _plain("job {job} asked to run now"),
    "dead.replayed": _plain("dead letter of {job} replayed"),
    "dead.discarded": _plain("dead letter of {job} discarded"),
    "dead.superseded": _plain("dead letter of {job} dropped: the job changed"),
}

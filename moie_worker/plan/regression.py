"""What is said of a job that held and holds no more: since when, and what changed in between."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from moie_worker.plan.fields import format_time
from moie_worker.plan.flow import JobView, JournalEntry, Regression
from moie_worker.plan.journal import journal_fields
from moie_worker.plan.journal import line as said
from moie_worker.plan.times import moment

ALERT = "regressed:"  # begins the name of its alert; the plan and the job follow
MEANWHILE = 10  # entries of the journal that are shown
SHORT = 12  # digits of a digest that a line shows
NOTED = ("plan.", "phase.", "job.passed", "job.run", "job.cancel", "job.retry", "job.regressed", "job.recovered")
# What two looks are compared by, in words; a digest is shown short.
COMPARED = (
    ("exit_code", "exit code"),
    ("signal", "signal"),
    ("sha256", "output"),
    ("definition", "definition"),
    ("revision", "revision"),
    ("host", "host"),
    ("worker", "worker"),
)
DIGESTS = frozenset({"sha256", "definition"})


def alerts_of(plan: str, found: Iterable[Regression]) -> dict[str, str]:
    """Messages by the names of alerts."""
    return {f"{ALERT}{plan}:{each.definition.id}": f"plan {plan}: {line(each)}" for each in found}


def held_at(regression: Regression) -> str | None:
    """When its check passed last, ISO 8601; None where only a document said that it was done."""
    at = regression.evidence.get("before", {}).get("at")
    return format_time(moment(int(at))) if at else None


def changes(regression: Regression) -> dict[str, tuple[Any, Any]]:
    """What the last look that passed and the one that did not have differently, by the words of people."""
    before, after = regression.evidence.get("before", {}), regression.evidence
    pairs = ((words, before.get(name), after.get(name)) for name, words in COMPARED)
    return {words: (old, new) for words, old, new in pairs if old != new} if before else {}


def line(regression: Regression) -> str:
    """What happened in one line, with all that may lead to the cause."""
    job, evidence = regression.definition, regression.evidence
    told = [f"held until {held_at(regression) or '?'}{_proof(evidence.get('before', {}))}"]
    told += [
        f"{words} {_short(words, old)} -> {_short(words, new)}" for words, (old, new) in changes(regression).items()
    ]
    if where := evidence.get("host"):
        told.append(f"seen on {where}")
    said = f": {evidence['message']}" if evidence.get("message") else ""
    since = format_time(moment(regression.since))
    return f"{job.id} {job.job.get('task', '')} REGRESSED {since} ({'; '.join(told)}){said}"


def _proof(before: Mapping[str, Any]) -> str:
    receipt = before.get("receipt")
    return f", receipt {receipt[:SHORT]}" if receipt else ""


def _short(words: str, value: Any) -> str:
    shortened = {name for key, name in COMPARED if key in DIGESTS}
    return "none" if value is None else str(value)[:SHORT] if words in shortened else str(value)


def meanwhile(regression: Regression, journal: Sequence[JournalEntry]) -> list[JournalEntry]:
    """What else happened between the last time it held and the time it did not; the journal is oldest first."""
    since = int(regression.evidence.get("before", {}).get("at") or 0)
    own = (regression.definition.id, regression.definition.reverified_by)
    return [
        entry
        for entry in journal
        if since < entry.at <= regression.since and entry.event.startswith(NOTED) and entry.job not in own
    ]


def regression_fields(regression: Regression) -> dict[str, Any]:
    """As `--json` says it."""
    before, after = regression.evidence.get("before", {}), regression.evidence
    return {
        "job": regression.definition.id,
        "phase": regression.definition.phase,
        "since": format_time(moment(regression.since)),
        "held_at": held_at(regression),
        "receipt": before.get("receipt"),
        "message": after.get("message", ""),
        "changed": {words: {"before": old, "after": new} for words, (old, new) in changes(regression).items()},
    }


def regression_of(job: JobView, look: JobView) -> Regression | None:
    """The regression of a job that stands; None while it holds."""
    since = look.evidence.get("regressed")
    return Regression(job.definition, int(since), look.evidence) if since else None


def reverify_lines(job: JobView, look: JobView, journal: Sequence[JournalEntry]) -> Iterator[tuple[str, str]]:
    """How a job stays verified, or what changed since it last did: name and text."""
    yield "looked at again", f"every {look.definition.job.get('schedule', {}).get('every', '?')}"
    if times := job.evidence.get("held"):
        yield "held", f"{times} times since {format_time(moment(int(job.evidence['since'])))}"
    if look.due:
        yield "next look", format_time(moment(look.due))
    if regression := regression_of(job, look):
        yield "regressed", line(regression)
        yield from (("meanwhile", said(entry)) for entry in meanwhile(regression, journal)[-MEANWHILE:])


def reverify_fields(job: JobView, look: JobView, journal: Sequence[JournalEntry]) -> dict[str, Any]:
    """The same as `--json` says it."""
    regression, evidence = regression_of(job, look), job.evidence
    found = {
        "every": look.definition.job.get("schedule", {}).get("every"),
        "held": evidence.get("held", 0),
        "since": format_time(moment(int(evidence["since"]))) if "since" in evidence else None,
        "next_at": format_time(moment(look.due)) if look.due else None,
    }
    if regression is None:
        return found | {"regression": None}
    between = [journal_fields(entry) for entry in meanwhile(regression, journal)[-MEANWHILE:]]
    return found | {"regression": regression_fields(regression) | {"meanwhile": between}}

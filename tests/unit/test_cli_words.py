"""Differences, pictures, journal lines and verdicts: the small rules behind the screens."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moie_worker.adapters.memory.store import MemoryStore
from moie_worker.doors.cli.output import Styled, first_line, fitted, print_json, print_lines, print_table
from moie_worker.plan.checkup import Checkup, checkup, checkup_document
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.diff import Diff, definitions, diff
from moie_worker.plan.doctor import (
    Finding,
    Level,
    RedisFacts,
    crew_findings,
    extra_findings,
    redis_findings,
    trust_finding,
)
from moie_worker.plan.flow import Breaker, JournalEntry
from moie_worker.plan.journal import SENTENCES, journal_fields, line
from moie_worker.plan.letters import Measured, Run, RunHistory, Watched
from moie_worker.plan.model import Plan
from moie_worker.plan.picture import by_phase, mermaid, text_lines
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Health, Outcome, Place
from moie_worker.plan.status import Crew, phase_standings
from moie_worker.plan.texts import printable
from moie_worker.plan.times import moment, ms_of
from moie_worker.plan.verify import Verdict, judge, passed
from tests.unit.test_cli_status import NOW, cyclic, job, loaded


def compared(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Diff:
    plan = Plan.model_validate({"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": new}]})
    return diff(definitions(loaded({"id": 1, "name": "ONE", "jobs": old}).all_jobs()), compile_plan(plan, NOW))


def test_a_plan_loaded_again_changes_nothing() -> None:
    found = compared([job("a"), cyclic("c")], [job("a"), cyclic("c")])
    assert found.empty
    assert found.unchanged == 2


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        ([job("a"), job("b")], "added"),
        ([job("a", verification_cmd="false")], "changed"),
        ([job("a", timeout="5s")], "changed"),
        ([job("a", priority=3)], "edited"),
        ([job("a", description="d")], "edited"),
    ],
)
def test_what_becomes_of_a_job_is_told_by_what_changed(new: list[dict[str, Any]], kind: str) -> None:
    assert [name for name, jobs in compared([job("a")], new).lists().items() if jobs] == [kind]


def test_a_job_that_is_gone_is_removed() -> None:
    assert compared([job("a"), job("b")], [job("b")]).removed == ("a",)


def test_another_schedule_arms_a_job_anew() -> None:
    assert compared([cyclic("c")], [cyclic("c", schedule={"every": "1m"})]).rearmed == ("c",)


def picture(store: MemoryStore) -> str:
    return "\n".join(text for text, _ in text_lines(phase_standings(store.overview()), by_phase(store.all_jobs())))


def test_the_picture_names_phases_jobs_needs_and_schedules() -> None:
    store = loaded(
        {"id": 1, "name": "ONE", "jobs": [job("1.1", status="completed"), job("1.2", depends_on=["1.1"])]},
        {"id": 5, "name": "FIVE", "jobs": [cyclic("5.1"), cyclic("5.2", schedule={"cron": "@daily"})]},
    )
    assert picture(store).splitlines() == [
        "1  ONE – 1/2 (active)",
        "   ├─ ✓ 1.1  task 1.1",
        "   └─ ▷ 1.2  task 1.2  (ready; needs 1.1)",
        "5  FIVE – 0/2 (locked)",
        "   ├─ ↻ 5.1  task 5.1  (every 10m)",
        "   └─ ↻ 5.2  task 5.2  (cron @daily)",
    ]


def test_a_flowchart_escapes_what_would_end_its_labels() -> None:
    store = loaded({"id": 1, "name": 'A "B" <i>', "jobs": [job("1.1", task="#1"), job("1.2", depends_on=["1.1"])]})
    chart = "\n".join(mermaid(phase_standings(store.overview()), by_phase(store.all_jobs())))
    assert chart.startswith("flowchart TD\n")
    assert 'subgraph p1["1 A #quot;B#quot; #lt;i#gt; – 0/2 (active)"]' in chart
    assert 'j0["1.1 #35;1"]:::ready' in chart
    assert "j0 --> j1" in chart


def entry(event: str, **fields: Any) -> JournalEntry:
    said: dict[str, Any] = {
        "id": "1-0",
        "at": ms_of(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        "job": "",
        "who": "",
        "why": "",
    }
    return JournalEntry(**said | {"event": event, "data": {}} | fields)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (entry("plan.loaded", who="a@b", why="new", data={"revision": 3}), "plan loaded as revision 3 by a@b: new"),
        (entry("job.passed", job="1.1", who="w", why="exit code 0"), "job 1.1 verified: exit code 0 (on w)"),
        (entry("phase.reached", data={"phase": 2}), "phase 2 reached"),
        (entry("phase.reached"), "phase ? reached"),
        (entry("heartbeat", data={"report": "HEARTBEAT 2026 UTC – SOVEREIGN\nverified: a"}),
         "heartbeat – SOVEREIGN; verified: a"),
        (entry("heartbeat"), "heartbeat"),
        (entry("something.new", job="1.1", who="x"), "something.new 1.1 by x"),
        (entry("job.dead", job="a", why="one\nline"), "job a is DEAD: one line"),
    ],
)  # fmt: skip
def test_an_entry_of_the_journal_is_one_line_of_words(given: JournalEntry, sentence: str) -> None:
    assert line(given) == f"- **2026-01-02 03:04:05**: {sentence}"
    assert journal_fields(given)["message"] == sentence


@pytest.mark.parametrize("event", SENTENCES)
def test_every_wording_holds_without_any_figure(event: str) -> None:
    assert line(entry(event, job="j")).count("\n") == 0


@pytest.mark.parametrize(
    ("outcome", "took_s", "verdict"),
    [
        (Outcome.PASSED, 5.0, Verdict.PASS),
        (Outcome.PASSED, 5.001, Verdict.SLOW),
        (Outcome.FAILED, 9.0, Verdict.FAIL),
        (Outcome.TIMED_OUT, 10.0, Verdict.TIMED_OUT),
        (Outcome.BROKEN, 0.0, Verdict.BROKEN),
        (Outcome.CANCELLED, 0.0, Verdict.BROKEN),
    ],
)
def test_a_verification_command_gets_its_verdict(outcome: Outcome, took_s: float, verdict: Verdict) -> None:
    assert judge(outcome, took_s, timedelta(seconds=10)) is verdict
    assert passed(verdict) is (outcome is Outcome.PASSED)


GOOD = RedisFacts(
    name="Redis", version="7.4.1", speaks="7.4.1", append_only=True, eviction="noeviction",
    used_bytes=1, max_bytes=0, primary=True, round_trip_s=0.001, ahead_s=0.0,
)  # fmt: skip


def levels(findings: Any) -> dict[str, Level]:
    return {one.what: one.level for one in findings if one.level is not Level.OK}


def test_a_good_redis_gives_nothing_to_say() -> None:
    assert levels(redis_findings(GOOD)) == {}


@pytest.mark.parametrize(
    ("facts", "what", "level"),
    [
        (replace(GOOD, speaks="6.0.16"), "version", Level.FAULT),
        (replace(GOOD, primary=False), "role", Level.FAULT),
        (replace(GOOD, append_only=False), "durability", Level.WARNING),
        (replace(GOOD, eviction="allkeys-lru"), "eviction", Level.WARNING),
        (replace(GOOD, eviction="allkeys-lru", max_bytes=100), "eviction", Level.FAULT),
        (replace(GOOD, used_bytes=80, max_bytes=100), "memory", Level.WARNING),
        (replace(GOOD, round_trip_s=0.1), "round trip", Level.WARNING),
        (replace(GOOD, ahead_s=-2.0), "clock", Level.WARNING),
    ],
)
def test_each_weakness_of_a_redis_is_found(facts: RedisFacts, what: str, level: Level) -> None:
    assert levels(redis_findings(facts)) == {what: level}


WORKER = Worker("w", "h", 1, ("default",), 2, NOW)
BEAT = Beat("b", "h", 2, NOW)


SIGNED = replace(WORKER, authors=("k1",))
OTHERS = replace(WORKER, authors=("k2",))


@pytest.mark.parametrize(
    ("authors", "required", "workers", "level", "said"),
    [
        ({}, False, [], Level.NOTE, "not required: "),
        ({}, False, [WORKER], Level.NOTE, "not required: "),
        ({}, False, [SIGNED], Level.OK, "required by every worker that lives"),
        ({}, False, [SIGNED, replace(WORKER, name="x")], Level.NOTE, "not required: "),
        ({}, True, [], Level.FAULT, "required, and "),
        ({"k1": "ops"}, True, [], Level.OK, "ops (k1)"),
        ({"k1": "ops"}, True, [SIGNED], Level.OK, "ops (k1)"),
        ({"k1": "ops"}, True, [SIGNED, replace(WORKER, name="x")], Level.FAULT, "and x looks at none"),
        ({"k1": "ops"}, True, [OTHERS], Level.WARNING, "w trusts others"),
    ],
)
def test_signatures_are_required_where_every_worker_that_lives_says_so(
    authors: dict[str, str], required: bool, workers: list[Worker], level: Level, said: str
) -> None:
    found = trust_finding(authors, required, workers)
    assert (found.what, found.level, said in found.message) == ("signatures", level, True)


def test_missing_workers_beats_and_queues_are_faults() -> None:
    assert levels(crew_findings(Crew(), ["gpu"], ["gpu"])) == {
        "workers": Level.FAULT, "beats": Level.FAULT, "queues": Level.FAULT
    }  # fmt: skip
    assert levels(crew_findings(Crew([WORKER], ["v"], [BEAT]), ["default"], [])) == {"presence": Level.WARNING}


def test_without_a_plan_nobody_needs_to_work() -> None:
    assert levels(crew_findings(Crew(), [], [])) == {"workers": Level.NOTE, "beats": Level.NOTE}


def test_extras_are_notes_and_broken_plugins_warnings() -> None:
    found = list(extra_findings({"http": False, "arxiv": True}, {"mine": "no module"}))
    assert found[0] == Finding("extra http", Level.NOTE, "not installed: pip install 'moie-worker[http]'")
    assert levels(found) == {"extra http": Level.NOTE, "action mine": Level.WARNING}


def checked(store: MemoryStore, crew: Crew, *watched: tuple[Watched, RunHistory]) -> Checkup:
    return checkup(store.overview(), timedelta(minutes=15), crew, [], watched)


CREW = Crew([WORKER], [], [BEAT], [])


def test_health_is_unknown_before_the_first_heartbeat_and_healthy_after_it() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    assert checked(store, CREW).health is Health.UNKNOWN
    store.beat("", "ops")
    assert checked(store, CREW).health is Health.HEALTHY
    store.regressed["a"] = store.now
    assert checked(store, CREW).problems == ["regressed: 1 job: `moie status` names them"]
    del store.regressed["a"]


def test_a_stale_heartbeat_and_missing_workers_are_unhealthy() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.beat("", "ops")
    assert checked(store, Crew()).problems == ["workers: none is there"]
    assert checked(store, replace(CREW, workers_gone=["v"])).health is Health.UNHEALTHY
    store.time.advance(15 * 60_000)
    assert checked(store, CREW).health is Health.HEALTHY
    store.time.advance(1)
    assert checked(store, CREW).health is Health.UNHEALTHY
    assert checkup_document(checked(store, CREW))["heartbeat"]["status"] == "stale"


def test_a_queue_that_is_stopped_is_unhealthy() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.beat("", "ops")
    store.breakers["scan"] = Breaker((("a", True),), store.now, 30_000, store.now + 30_000, "", "no such file")
    (problem,) = checked(store, CREW).problems
    assert problem.startswith("stopped: queue scan is stopped: 1 of its last 1 attempts")
    assert [one["queue"] for one in checkup_document(checked(store, CREW))["stopped_queues"]] == ["scan"]


def test_a_queue_that_nobody_serves_is_unhealthy_and_named_once() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a"), job("b", queue="gpu")]})
    store.beat("", "ops")
    assert checked(store, CREW).problems == ["queue gpu: no worker serves it: celery -A moie_worker worker -Q gpu"]
    assert checkup_document(checked(store, CREW))["queues_without_worker"] == ["gpu"]
    assert checked(store, Crew()).problems == ["workers: none is there"]
    store.cancel_plan("ops", "")
    assert checked(store, CREW).problems == [], "nothing waits for it any more"


def test_what_workers_refuse_is_unhealthy() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.beat("", "ops")
    found = checkup(store.overview(), timedelta(minutes=15), CREW, [], [], refused="no trusted author signed it")
    assert (found.health, found.problems) == (Health.UNHEALTHY, ["refused: no trusted author signed it"])


def test_receipts_that_nobody_seals_are_unhealthy() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.beat("", "ops")
    found = checkup(store.overview(), timedelta(minutes=15), CREW, [], [], "nobody seals")
    assert (found.health, found.problems) == (Health.UNHEALTHY, ["receipts: nobody seals"])


def test_watched_tasks_count_for_health() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.beat("", "ops")
    runs = RunHistory("tidy", 1, 1, 1, [Run(moment(store.now), Measured(0.1, error="no"))])
    found = checked(store, CREW, (Watched("tidy"), runs))
    assert found.health is Health.UNHEALTHY
    assert [one["id"] for one in checkup_document(found)["jobs"]] == ["tidy"]


def test_a_watched_application_without_a_plan_is_healthy_by_its_tasks_alone() -> None:
    store = MemoryStore()
    good = RunHistory("tidy", 1, 0, 0, [Run(moment(store.now), Measured(0.1))])
    assert checked(store, Crew()).health is Health.UNKNOWN
    assert checked(store, Crew(), (Watched("tidy"), good)).health is Health.HEALTHY


def test_a_waiting_job_shows_its_place_in_the_picture() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("a")]})
    store.move("a", Place.WAITING, store.now)
    assert "? a  task a  (waiting)" in picture(store)


def table(width: int, *, wrap: bool = False) -> list[str]:
    rows = [("id", "task", "said"), ("1.1", "a rather long task indeed", "no"), ("1.10", "short", "")]
    grid = [[Styled(cell) for cell in row] for row in rows]
    return ["".join(map(str, line)).rstrip() for line in fitted(grid, 1, width, wrap=wrap)]


def test_a_table_that_fits_is_aligned_as_it_is() -> None:
    assert table(80) == [
        "id    task                       said", "1.1   a rather long task indeed  no", "1.10  short"
    ]  # fmt: skip


def test_in_a_narrow_terminal_one_column_of_a_table_gives_way() -> None:
    assert table(34) == ["id    task                    said", "1.1   a rather long task in…  no", "1.10  short"]
    assert table(34, wrap=True)[1:3] == ["1.1   a rather long task      no", "      indeed"]


def test_a_table_is_never_narrower_than_its_other_columns() -> None:
    assert table(1) == table(32)


EVIL = "x\x1b[2J\x1b]0;title\x07\x9b1m\u202ey"


def test_what_others_wrote_moves_no_cursor_of_whoever_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "reason"), [(Styled(EVIL, "red"), f"{EVIL}\nforged  line")])
    print_lines([(EVIL, Styled(EVIL))])
    print_json({"é": EVIL})
    shown = capsys.readouterr().out
    assert printable(shown) == shown
    assert [line.split()[0] for line in shown.splitlines()[:2]] == [
        "id",
        "x\ufffd[2J\ufffd]0;title\ufffd\ufffd1m\ufffdy",
    ]
    assert len(shown.splitlines()) == 2 + 1 + 3
    assert json.loads(shown[shown.index("{") :]) == {"é": EVIL}
    assert first_line(EVIL).isprintable()

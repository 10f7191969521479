"""What a dead letter box does: the twin in memory and the real one answer alike."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import redis

from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.errors import MoieError, NotFoundError, RefusedError, UnreachableError
from moie_worker.plan.letters import Death, LetterFilter, LetterKind
from moie_worker.ports import DeadLetterBox

HOLD = timedelta(minutes=1)
TASK = Death(
    "t-1", LetterKind.TASK, "shop.charge", "Boom: no", 4, {"args": [1], "kwargs": {"ä": None}}, {"host": "h"}, "t-1"
)
ALL = LetterFilter()


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["memory", "redis"])
def box(request: pytest.FixtureRequest) -> DeadLetterBox:
    if request.param == "memory":
        return MemoryDeadLetters(_now)
    return RedisDeadLetters(connect(request.getfixturevalue("redis_url")), "default")


def death(
    letter_id: str, reason: str = "Boom", *, kind: LetterKind = LetterKind.TASK, name: str = "shop.charge"
) -> Death:
    return Death(letter_id, kind, name, reason, 1, {})


def ids(box: DeadLetterBox, wanted: LetterFilter = ALL) -> list[str]:
    return [head.id for head in box.page(wanted).heads]


def test_a_letter_comes_back_with_all_that_was_kept(box: DeadLetterBox) -> None:
    assert box.put(TASK)
    letter = box.get("t-1")
    assert (letter.payload, letter.evidence) == (TASK.payload, TASK.evidence)
    head = letter.head
    assert (head.kind, head.name, head.reason, head.attempts, head.deaths) == (
        LetterKind.TASK,
        "shop.charge",
        "Boom: no",
        4,
        1,
    )
    assert head.first_at == head.last_at
    assert abs(head.first_at - _now()) < timedelta(minutes=1)
    assert head.replayed_at is None


def test_a_reason_with_half_a_sign_is_kept(box: DeadLetterBox) -> None:
    assert box.put(death("t-1", "no file 'a\udcff'"))
    assert box.get("t-1").head.reason.startswith("no file 'a")


def test_a_letter_nobody_wrote_is_not_found(box: DeadLetterBox) -> None:
    for ask in (box.get, lambda name: box.claim(name, HOLD), lambda name: box.discard(name, "ops", "")):
        with pytest.raises(NotFoundError, match="nobody"):
            ask("nobody")


def test_a_death_reported_twice_counts_once(box: DeadLetterBox) -> None:
    assert box.put(TASK)
    assert not box.put(TASK)
    assert (box.count(), box.get("t-1").head.deaths) == (1, 1)


def test_what_dies_again_is_the_same_letter(box: DeadLetterBox) -> None:
    box.put(death("a"))
    first = box.get("a").head
    box.put(death("b"))
    box.put(death("a", "Bang"))
    head = box.get("a").head
    assert (head.deaths, head.attempts, head.reason, head.first_at) == (2, 2, "Bang", first.first_at)
    assert box.count() == 2


@pytest.mark.fault(18)
def test_a_letter_is_replayed_once(box: DeadLetterBox) -> None:
    box.put(TASK)
    box.mark_replayed(box.claim("t-1", HOLD), "t-2", "ops", "fixed")
    head = box.get("t-1").head
    assert (head.replays, head.replayed_as) == (1, "t-2")
    assert head.replayed_at is not None
    with pytest.raises(RefusedError, match="replayed"):
        box.claim("t-1", HOLD)


def test_a_letter_is_replayed_again_when_forced(box: DeadLetterBox) -> None:
    box.put(TASK)
    box.mark_replayed(box.claim("t-1", HOLD), "t-2", "ops", "")
    box.mark_replayed(box.claim("t-1", HOLD, again=True), "t-3", "ops", "")
    assert box.get("t-1").head.replays == 2


def test_a_new_death_opens_a_replayed_letter(box: DeadLetterBox) -> None:
    box.put(TASK)
    box.mark_replayed(box.claim("t-1", HOLD), "t-2", "ops", "")
    assert ids(box, LetterFilter(open_only=True)) == []
    box.put(Death("t-1", LetterKind.TASK, "shop.charge", "Boom", 1, {}, death="t-2"))
    assert ids(box, LetterFilter(open_only=True)) == ["t-1"]
    assert box.claim("t-1", HOLD).letter.head.replays == 1


@pytest.mark.fault(18)
def test_what_dies_of_its_replay_opens_its_letter_also_where_its_death_has_the_same_name(box: DeadLetterBox) -> None:
    box.put(TASK)
    box.claim("t-1", HOLD)
    assert box.put(TASK)
    assert not box.put(TASK)
    assert (box.get("t-1").head.deaths, box.get("t-1").head.replayed_at) == (2, None)


def test_of_two_who_replay_one_is_refused(box: DeadLetterBox) -> None:
    box.put(TASK)
    claim = box.claim("t-1", HOLD)
    with pytest.raises(RefusedError, match="somebody else"):
        box.claim("t-1", HOLD, again=True)
    box.release(claim)
    assert box.claim("t-1", HOLD).letter == claim.letter


def test_a_claim_lapses_with_its_holder(box: DeadLetterBox) -> None:
    box.put(TASK)
    gone = box.claim("t-1", timedelta())
    box.claim("t-1", HOLD)
    box.release(gone)
    with pytest.raises(RefusedError):
        box.claim("t-1", HOLD)


@pytest.mark.fault(18)
def test_a_letter_that_dies_during_its_replay_stays_open(box: DeadLetterBox) -> None:
    box.put(TASK)
    claim = box.claim("t-1", HOLD)
    box.put(Death("t-1", LetterKind.TASK, "shop.charge", "Boom", 1, {}, death="t-2"))
    box.mark_replayed(claim, "t-2", "ops", "")
    assert box.get("t-1").head.replayed_at is None


def test_a_discarded_letter_is_gone_and_stays_gone(box: DeadLetterBox) -> None:
    box.put(TASK)
    claim = box.claim("t-1", HOLD)
    box.discard("t-1", "ops", "known")
    box.mark_replayed(claim, "t-2", "ops", "")
    assert (box.count(), ids(box)) == (0, [])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LetterFilter(), ["m", "b", "a"]),
        (LetterFilter(kind=LetterKind.MESSAGE), ["m"]),
        (LetterFilter(name="shop.mail"), ["b"]),
        (LetterFilter(reason="TIME limit"), ["b"]),
        (LetterFilter(kind=LetterKind.TASK, reason="boom"), ["a"]),
        (LetterFilter(since=datetime(2020, 1, 1, tzinfo=UTC)), ["m", "b", "a"]),
        (LetterFilter(since=datetime(2100, 1, 1, tzinfo=UTC)), []),
    ],
)
def test_letters_are_filtered_and_the_last_to_die_comes_first(
    box: DeadLetterBox, wanted: LetterFilter, found: list[str], spaced: Callable[[], None]
) -> None:
    box.put(death("a"))
    spaced()
    box.put(death("b", "hard time limit", name="shop.mail"))
    spaced()
    box.put(death("m", "no JSON", kind=LetterKind.MESSAGE, name="celery"))
    assert ids(box, wanted) == found


@pytest.fixture
def spaced() -> Callable[[], None]:
    """Lets one millisecond pass: letters of one millisecond have no order."""

    def pass_one() -> None:
        until = _now() + timedelta(milliseconds=2)
        while _now() < until:
            pass

    return pass_one


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_name_every_letter_once(box: DeadLetterBox, limit: int) -> None:
    for number in range(30):
        box.put(death(f"letter-{number}", name="odd" if number % 2 else "even"))
    cursor, seen = "", []
    while True:
        page = box.page(LetterFilter(name="odd"), cursor, limit)
        assert len(page.heads) <= limit
        seen += [head.id for head in page.heads]
        cursor = page.cursor
        if not cursor:
            break
    assert sorted(seen) == sorted(f"letter-{number}" for number in range(1, 30, 2))


def test_a_page_goes_on_when_its_cursor_was_discarded(box: DeadLetterBox) -> None:
    for number in range(6):
        box.put(death(f"letter-{number}"))
    page = box.page(ALL, limit=3)
    box.discard(page.heads[-1].id, "ops", "")
    rest = {head.id for head in box.page(ALL, page.cursor).heads}
    assert {f"letter-{number}" for number in range(6)} <= rest | {head.id for head in page.heads}


def test_the_journal_keeps_what_was_discarded_and_who_did_it(redis_client: "redis.Redis", redis_url: str) -> None:
    box = RedisDeadLetters(connect(redis_url), "default")
    box.put(TASK)
    box.mark_replayed(box.claim("t-1", HOLD), "t-2", "ops", "try")
    box.discard("t-1", "ops", "known")
    rows = cast(list[tuple[str, dict[str, str]]], redis_client.xrange("moie:{default}:journal"))
    entries = [fields for _, fields in rows]
    assert [(entry["event"], entry["job"], entry["who"], entry["why"]) for entry in entries] == [
        ("dead.replayed", "shop.charge", "ops", "try"),
        ("dead.discarded", "shop.charge", "ops", "known"),
    ]
    assert '"reason":"Boom: no"' in entries[1]["data"]
    assert "kwargs" not in entries[1]["data"]


def test_letters_are_kept_when_redis_is_full(redis_client: "redis.Redis", redis_url: str) -> None:
    box = RedisDeadLetters(connect(redis_url), "default")
    redis_client.config_set("maxmemory", 1)
    try:
        box.put(TASK)
        with pytest.raises(redis.OutOfMemoryError):
            redis_client.set("other", "x")
    finally:
        redis_client.config_set("maxmemory", 0)
    assert box.count() == 1


def test_an_error_names_the_address_and_not_the_password(redis_url: str) -> None:
    wrong = RedisDeadLetters(connect(redis_url.replace("unix://:", "unix://:wrong-")), "default")
    with pytest.raises(UnreachableError, match=r"unix:///\S+ refuses user or password") as caught:
        wrong.count()
    assert "wrong-" not in str(caught.value)
    gone = RedisDeadLetters(connect("unix://:secret@/nowhere/r.sock"), "default")
    with pytest.raises(UnreachableError, match=r"unix:///nowhere/r\.sock cannot be reached") as caught:
        gone.put(TASK)
    assert "secret" not in str(caught.value)


def test_a_user_without_permission_is_told_so(redis_client: "redis.Redis", redis_url: str) -> None:
    redis_client.acl_setuser("weak", enabled=True, passwords=["+pw"], commands=["+ping"])
    try:
        weak = RedisDeadLetters(connect("unix://weak:pw@" + redis_url.partition("@")[2]), "default")
        with pytest.raises(MoieError, match="ACL"):
            weak.count()
    finally:
        redis_client.acl_deluser("weak")

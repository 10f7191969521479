"""Replaying and discarding letters of every kind, on the twin."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.errors import NotFoundError, RefusedError, UnreachableError
from moie_worker.heart.dead_letters import Act, DeadLetters
from moie_worker.plan.letters import Death, Letter, LetterFilter, LetterKind

ACT = Act("ops", "fixed")
FORCED = Act("ops", force=True)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Broker:
    up: bool = True
    tasks: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def task(self, letter: Letter, new_id: str) -> None:
        if not self.up:
            raise UnreachableError("broker away")
        self.tasks.append(new_id)

    def message(self, letter: Letter) -> None:
        self.messages.append(letter.head.id)


@dataclass
class Jobs:
    did: list[tuple[str, str]] = field(default_factory=list)

    def replay(self, job: str, who: str, why: str) -> None:
        self.did.append(("replay", job))

    def discard(self, job: str, who: str, why: str) -> None:
        self.did.append(("discard", job))


class World:
    def __init__(self) -> None:
        self.now = NOW
        self.box = MemoryDeadLetters(lambda: self.now)
        self.broker, self.jobs = Broker(), Jobs()
        self.dead = DeadLetters(self.box, self.jobs, self.broker)

    def die(self, letter_id: str, kind: LetterKind = LetterKind.TASK, **payload: object) -> None:
        self.now += timedelta(seconds=1)
        self.box.put(Death(letter_id, kind, letter_id.removeprefix("job:"), "Boom", 1, payload))


@pytest.fixture
def world() -> World:
    return World()


def test_each_kind_is_replayed_its_own_way(world: World) -> None:
    world.die("job:1.1", LetterKind.JOB)
    world.die("t")
    world.die("m", LetterKind.MESSAGE)
    world.dead.replay("job:1.1", ACT)
    world.dead.replay("t", ACT)
    with pytest.raises(RefusedError, match="no worker could read"):
        world.dead.replay("m", ACT)
    world.dead.replay("m", FORCED)
    assert world.jobs.did == [("replay", "1.1")]
    assert len(world.broker.tasks) == 1
    assert world.broker.messages == ["m"]


def test_a_replay_without_a_new_death_is_refused_unless_forced(world: World) -> None:
    world.die("t")
    world.dead.replay("t", ACT)
    with pytest.raises(RefusedError):
        world.dead.replay("t", ACT)
    world.dead.replay("t", FORCED)
    world.die("t")
    world.dead.replay("t", ACT)
    assert len(set(world.broker.tasks)) == 3


def test_a_replay_that_the_broker_refuses_leaves_the_letter_open(world: World) -> None:
    world.die("t")
    world.broker.up = False
    with pytest.raises(UnreachableError):
        world.dead.replay("t", ACT)
    world.broker.up = True
    world.dead.replay("t", ACT)


def test_whoever_dies_between_publishing_and_marking_publishes_the_same_id_again(world: World) -> None:
    world.die("t")
    world.dead.replay("t", ACT)
    lost = world.box._kept["t"]
    before = world.broker.tasks[0]
    other = World()
    other.die("t")
    other.box.claim("t", timedelta(minutes=1))
    other.now += timedelta(minutes=2)
    other.dead.replay("t", ACT)
    assert other.broker.tasks == [before]
    assert lost.letter.head.replayed_as == before


def test_a_letter_without_its_arguments_says_why_it_is_not_replayed(world: World) -> None:
    world.die("t", not_replayable="its arguments are no JSON: TypeError")
    with pytest.raises(RefusedError, match="no JSON"):
        world.dead.replay("t", FORCED)


def test_all_letters_are_replayed_and_those_refused_are_named(world: World) -> None:
    for number in range(250):
        world.die(f"t{number}")
    world.die("odd", not_replayable="too large")
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    done = list(world.dead.replay_all(LetterFilter(open_only=True), ACT, pause))
    assert [result.head.id for result in done if result.refused] == ["odd"]
    assert len(world.broker.tasks) == 250
    assert len(pauses) == 2
    assert [result.head.id for result in world.dead.replay_all(LetterFilter(open_only=True), ACT, pause)] == ["odd"]


def test_replaying_all_ends_when_its_pause_is_cut_short(world: World) -> None:
    for number in range(250):
        world.die(f"t{number}")
    assert len(list(world.dead.replay_all(LetterFilter(), ACT, lambda seconds: False))) == 100


def test_discarding_all_that_is_meant_leaves_the_rest(world: World) -> None:
    world.die("job:1.1", LetterKind.JOB)
    world.die("a")
    world.die("b")
    assert len(list(world.dead.discard_all(LetterFilter(kind=LetterKind.TASK), ACT))) == 2
    assert world.box.count() == 1
    world.dead.discard("job:1.1", ACT)
    assert world.jobs.did == [("discard", "1.1")]
    with pytest.raises(NotFoundError):
        world.dead.discard("a", ACT)

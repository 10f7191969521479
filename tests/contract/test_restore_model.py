"""Random schedules in which snapshots are taken and restored, in the twin and in Redis in lockstep."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from moie_worker.adapters.memory import MemoryStore
from moie_worker.plan.snapshot import Saved
from tests.contract.conftest import ManualRedis
from tests.contract.model import STEPS, Store, ViolationError, World

SCHEDULES = 45
LENGTH = 60
Step = Callable[["RestoringWorld", int, int], None]


@dataclass
class RestoringWorld(World):
    """A world that may go back."""

    saved: list[list[Saved | None]] = field(default_factory=list)  # each with what every store saved

    def save(self, _: int, __: int) -> None:
        """Take a snapshot of every store; all must have the same jobs in the same places."""
        taken = [_take(store) for store in self.stores]
        alike = {tuple(_alike(found)) if found else None for found in taken}
        if len(alike) != 1:
            raise ViolationError(f"the stores save something else: {alike}")
        if taken[0] is not None:
            self.saved.append(taken)

    def restore(self, a: int, b: int) -> None:
        """Go back to a snapshot, perhaps one that was made under another revision than is there."""
        if not self.saved:
            return
        chosen = self.saved[a % len(self.saved)]
        snapshots = {id(store): found for store, found in zip(self.stores, chosen, strict=True)}
        base = self.twin.flags.revision - (b % 9 == 0)
        restored = self.each(lambda store: _restore(store, snapshots[id(store)], base))
        if b % 3:
            self.apply(0, 0)
        if isinstance(restored, int) and not self.twin.flags.loading:
            self._stands(chosen[0])

    def _stands(self, snapshot: Saved | None) -> None:
        """What was done, dead or cancelled is so again, whatever happened since."""
        assert snapshot is not None
        twin = self.twin
        for job in snapshot.jobs:
            found = twin.jobs[job.id]
            if job.place in {"completed", "dead", "cancelled"} and found.place != job.place:
                raise ViolationError(f"{job.id} was saved as {job.place} and is {found.place}")


def _take(store: Store) -> Saved | None:
    return store.saved(store.capture())


def _alike(found: Saved) -> list[str]:
    """Evidence is written in another way by the twin; `test_store_model` compares it."""
    return [line.rpartition("\t")[0] for line in found.lines]


def _restore(store: Store, snapshot: Saved | None, base: int) -> int:
    assert snapshot is not None
    return store.restore(snapshot, base, "ops", "back")


CHOICES: list[Step] = [step for step, weight in STEPS for _ in range(weight)]
CHOICES += [RestoringWorld.save] * 3 + [RestoringWorld.restore] * 3


def play(world: RestoringWorld, seed: int) -> None:
    """One schedule, then the plan must end."""
    dice = random.Random(seed)
    world.load(dice.randrange(3), 1)
    for _ in range(LENGTH):
        step, a, b = dice.choice(CHOICES), dice.randrange(64), dice.randrange(64)
        step(world, a, b)
        if world.changed:
            world.check()
            world.agree()
            world.changed = False
    world.heal()
    world.agree()


@pytest.mark.parametrize("part", range(3))
def test_a_plan_that_goes_back_keeps_every_promise(part: int, manual_redis: ManualRedis) -> None:
    for seed in range(part, SCHEDULES, 3):
        manual_redis.empty()
        stores: list[Store] = [MemoryStore("model", manual_redis.time), manual_redis.store("model")]
        world = RestoringWorld(stores, manual_redis.advance)
        try:
            play(world, seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error

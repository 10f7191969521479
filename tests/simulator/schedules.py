"""Schedules: lists of numbers, so that a failing one is replayed by its seed and shrunk by leaving steps out."""

import random
from collections.abc import Callable, Iterable

from moie_worker.plan.flow import SOVEREIGN
from moie_worker.plan.states import Place
from tests.simulator import faults, operators, seals, workers
from tests.simulator.ledger import ViolationError
from tests.simulator.plans import PLANS
from tests.simulator.world import World

Step = tuple[int, int, int]  # a choice of `CHOICES`, and the two figures that it takes
LENGTH = 40
AUDITED = 8  # so many steps are between two audits of a Redis; one is as long as all else of a step
ROUNDS = 60  # in which a plan must come to its end without further faults

STEPS: tuple[tuple[Callable[[World, int, int], None], int], ...] = (
    (workers.wait, 4), (workers.reserve, 6), (workers.begin, 6), (workers.settle, 5), (workers.late, 1),
    (workers.renew, 1), (workers.arm, 1), (faults.die, 2), (workers.release, 1), (workers.rescue, 2), (faults.gap, 1),
    (workers.beat, 1), (operators.load, 1), (workers.apply, 2), (operators.operate, 3), (workers.go_well, 2),
    (faults.weather, 2), (faults.poison, 1), (workers.ask_again, 1), (faults.crash, 2), (faults.jump, 1),
    (faults.fill, 1), (faults.empty, 1), (operators.save, 1), (operators.restore, 1), (seals.seal, 1),
)  # fmt: skip
CHOICES = [step for step, weight in STEPS for _ in range(weight)]
ADDING = frozenset({  # what a Redis without room refuses
    workers.reserve, workers.begin, workers.ask_again, workers.arm, workers.beat, workers.apply, workers.go_well,
    faults.gap, faults.weather, operators.load, operators.operate, operators.save, operators.restore, seals.seal,
})  # fmt: skip


def schedule(seed: int, length: int = LENGTH) -> list[Step]:
    """The steps of a seed; a plan is loaded first."""
    dice = random.Random(seed)
    load = (CHOICES.index(operators.load), dice.randrange(len(PLANS)), 1)
    choices, figures = dice.choices(range(len(CHOICES)), k=length), dice.choices(range(64), k=2 * length)
    return [load, *zip(choices, figures[::2], figures[1::2], strict=True)]


def play(world: World, steps: Iterable[Step], *, agree: bool = False) -> None:
    """Run a schedule with the oracle after every step, then to the end of the plan. Raises ViolationError."""
    for number, (choice, a, b) in enumerate(steps):
        step = CHOICES[choice]
        if not (world.full and step in ADDING):
            step(world, a, b)
        if not world.changed:
            continue
        world.check()
        if agree:
            world.agree()
            if number % AUDITED == 0:
                world.audit()
    heal(world)
    if agree:
        world.agree()
        world.audit()


def heal(world: World) -> None:
    """Without further faults the plan ends: every job that is not cyclic is verified."""
    if world.twin.flags.revision == 0:
        operators.load(world, 0, 1)
    world.apply()
    world.each(lambda store: store.resume("ops", "heal"))
    for phase in world.twin.phases.values():
        for who in operators.APPROVERS if phase.approval else ():
            world.each(lambda store, who=who, phase=phase: store.answer(phase.id, True, who, "heal"))  # type: ignore[misc]
    world.storm, world.calm, world.killer = False, True, ""
    world.held.clear()
    world.unanswered.clear()
    world.messages.clear()
    for _ in range(ROUNDS):
        if world.twin.flags.frontier == SOVEREIGN and not world.twin.leases:
            return
        workers.go_well(world, 0, 0)
    stuck = {name: state.place for name, state in world.twin.jobs.items() if state.place != Place.COMPLETED}
    raise ViolationError(f"the plan does not end: {stuck}, frontier {world.twin.flags.frontier}")


def told(steps: Iterable[Step]) -> str:
    """A schedule for people."""
    return "\n".join(f"  {CHOICES[choice].__name__}({a}, {b})" for choice, a, b in steps)

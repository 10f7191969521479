"""What people do to a plan: load it, steer it, take snapshots and go back to them."""

from collections.abc import Callable
from typing import Any

from moie_worker.errors import RefusedError
from moie_worker.plan.snapshot import Saved
from moie_worker.plan.states import Place
from tests.contract.model import Store
from tests.simulator.ledger import ViolationError
from tests.simulator.plans import PLANS, QUEUES
from tests.simulator.world import World

APPROVERS = ("ada@a", "bob@a")
WHO = ("ops", "because")
FINAL = {Place.COMPLETED, Place.DEAD, Place.CANCELLED}


def load(world: World, a: int, b: int) -> None:
    """Load a plan, perhaps one that was made for another revision than is there."""
    base = world.twin.flags.revision - (b % 9 == 0)
    refused = world.each(lambda store: store.load(PLANS[a % len(PLANS)], base, "ops", "why")) is RefusedError
    if not refused and base != world.twin.flags.revision - 1:
        raise ViolationError("a plan that was made for another revision was loaded")
    if b % 3:
        world.apply()


def operate(world: World, a: int, b: int) -> None:
    """Steer the plan or one of its jobs."""
    jobs = sorted(world.twin.jobs)
    if not jobs:
        return
    name = jobs[b % len(jobs)]
    acts = _acts(name, b)
    before = world.twin.jobs[name].place
    wanted = {token for token, lease in world.twin.leases.items() if not lease.stopped}
    if not isinstance(world.each(acts[a % len(acts)]), type):
        _operated(world, a % len(acts), name, before, wanted)


def _acts(name: str, b: int) -> tuple[Callable[[Store], Any], ...]:
    return (
        lambda store: store.pause(*WHO),
        lambda store: store.resume(*WHO),
        lambda store: store.resume(*WHO),
        lambda store: store.cancel(name, *WHO),
        lambda store: store.retry(name, *WHO),
        lambda store: store.run(name, *WHO),
        lambda store: store.replay(name, *WHO),
        lambda store: store.discard(name, *WHO),
        lambda store: store.answer(b % 6, True, *WHO),
        lambda store: store.answer(b % 6, False, *WHO),
        lambda store: store.cancel_plan(*WHO),
        lambda store: store.answer(b % 6, True, APPROVERS[b % 2], "because"),
        lambda store: store.answer(b % 6, True, APPROVERS[b // 6 % 2], "because"),
        lambda store: store.expire(b % 6),
        lambda store: store.resume_queue(QUEUES[b % 2], *WHO),
    )


def _operated(world: World, act: int, name: str, before: Place, wanted: set[str]) -> None:
    """Tell the ledger what an operator did."""
    match act:
        case 10:
            world.ledger.unwanted(wanted)
        case 3:
            world.ledger.unwanted(token for token, lease in world.twin.leases.items() if lease.job == name)
        case 4:
            if before is Place.RUNNING:
                raise ViolationError(f"{name} runs and was started anew")
            world.ledger.anew(name)
        case 5:
            world.ledger.denied.pop(name, None)
        case 6 if before is Place.DEAD:
            world.ledger.anew(name)


def save(world: World, _: int, __: int) -> None:
    """Take a snapshot of every store; all must have the same jobs in the same places."""
    taken = [store.saved(store.capture()) for store in world.stores]
    found = [each for each in taken if each is not None]
    if len({tuple(_places(each)) for each in found}) > 1 or len(found) not in {0, len(taken)}:
        raise ViolationError(f"the stores save something else: {taken}")
    if found:
        world.snapshots.append(found)


def _places(saved: Saved) -> list[str]:
    """Without evidence, which the twin writes in another way."""
    return [line.rpartition("\t")[0] for line in saved.lines]


def restore(world: World, a: int, b: int) -> None:
    """Go back to a snapshot, perhaps one that was made under another revision than is there."""
    if not world.snapshots:
        return
    chosen = world.snapshots[a % len(world.snapshots)]
    of = {id(store): saved for store, saved in zip(world.stores, chosen, strict=True)}
    base = world.twin.flags.revision - (b % 9 == 0)
    restored = isinstance(world.each(lambda store: store.restore(of[id(store)], base, "ops", "back")), int)
    if restored:
        world.seen["restored"] += 1
        world.ledger.restored([*world.twin.jobs, *(job.id for job in chosen[0].jobs)])
    if b % 3:
        world.apply()
    if restored and not world.twin.flags.loading:
        _check_restored(world, chosen[0])


def _check_restored(world: World, saved: Saved) -> None:
    """What was done, dead or cancelled is so again, whatever happened since."""
    for job in saved.jobs:
        found = world.twin.jobs[job.id].place
        if job.place in FINAL and found != job.place:
            raise ViolationError(f"{job.id} was saved as {job.place} and is {found}")

"""What happens to workers and to Redis."""

from tests.simulator.workers import go_well
from tests.simulator.world import World

JUMPS = (-300_000, -20_000, -700, 40_000, 7_200_000)  # of the clock of Redis


def die(world: World, a: int, _: int) -> None:
    """A worker forgets one of the batches that it holds."""
    if world.held:
        world.held.pop(a % len(world.held))
        world.seen["batch dropped"] += 1


def crash(world: World, a: int, b: int) -> None:
    """A worker is killed, with all that it holds; perhaps one sees it when its leases are over."""
    left = [held for held in world.held if held.worker != f"w{a % 3}"]
    world.seen["worker killed"] += left != world.held
    world.held = left
    if b % 2:
        world.advance(33_000)
        world.rescue()


def weather(world: World, a: int, _: int) -> None:
    """From now on nothing can be run, or everything can again; what died is started anew."""
    world.storm = a % 3 > 0
    world.seen["storm: nothing can be run"] += world.storm
    go_well(world, a, 0)


def jump(world: World, a: int, _: int) -> None:
    """The clock of Redis is set."""
    by = JUMPS[a % len(JUMPS)]
    world.seen["clock set forth" if by > 0 else "clock set back"] += 1
    world.advance(by)


def gap(world: World, a: int, _: int) -> None:
    """Redis was away, and somebody saw it."""
    if a % 4 == 0:
        world.each(lambda store: store.gap())
        world.ledger.gap_at = world.twin.now
        world.seen["Redis away"] += 1


def fill(world: World, a: int, _: int) -> None:
    """Redis has no room left, or has some again."""
    world.full = a % 3 == 0
    world.seen["Redis full"] += world.full


def empty(world: World, a: int, _: int) -> None:
    """Redis comes back empty. Whoever was at work goes on as if nothing had happened."""
    if a % 6 == 0:
        world.stores = world.anew()
        world.ledger = world.ledger.emptied()
        world.changed = True
        world.seen["Redis empty"] += 1


def poison(world: World, a: int, b: int) -> None:
    """A job kills its worker from now on, whenever it begins; or no job does any more."""
    jobs = sorted(world.twin.jobs)
    world.killer = jobs[b % len(jobs)] if jobs and a % 3 else ""

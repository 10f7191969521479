"""What beats and workers do, and how their messages travel. A step takes two figures, and chooses by them."""

from dataclasses import replace

from moie_worker.plan.flow import Answer
from tests.contract.model import LEASE
from tests.simulator.ledger import ViolationError
from tests.simulator.plans import QUEUES
from tests.simulator.world import World, verdict

WAITS = (1, 100, 600, 2_000, 5_000, 11_000, 31_000, 33_000, 70_000)


def wait(world: World, a: int, _: int) -> None:
    world.advance(WAITS[a % len(WAITS)])


def reserve(world: World, a: int, b: int) -> None:
    """A beat offers jobs. It may die before a message is published, or before it says so; a message may be doubled."""
    for number, hint in enumerate(world.offer(QUEUES[a % 2], 1 + b % 4)):
        fate = (a // 2 + b + number) % 8
        if fate != 7:
            world.messages += [hint] * (2 if fate == 6 else 1)
        if fate < 6:
            world.publish(hint)
        else:
            world.seen["beat died before publishing" if fate == 7 else "message doubled, its beat died"] += 1


def begin(world: World, a: int, b: int) -> None:
    """A worker takes any message; perhaps its answer is lost, or the message stays."""
    if not world.messages:
        return
    hint = world.messages.pop(a % len(world.messages))
    held = world.begin(hint, world.name(), f"w{a % 3}")
    if b % 5 == 0 and world.begin(hint, held.nonce, held.worker).attempts != held.attempts:
        raise ViolationError("the same nonce got another answer")
    if b % 7 == 0:
        world.messages.append(hint)
    if not world.survives(held):
        world.seen["worker killed by its job"] += 1
    elif held.attempts:
        (world.unanswered if b % 5 == 1 else world.held).append(held)
        world.seen["answer of a begin lost"] += b % 5 == 1


def ask_again(world: World, a: int, _: int) -> None:
    """The answer of a begin was lost; its worker asks again, late."""
    if not world.unanswered:
        return
    held = world.unanswered.pop(a % len(world.unanswered))
    again = world.begin(held.hint, held.nonce, held.worker)
    known, told = ({attempt.token for attempt in each.attempts} for each in (held, again))
    if known & told != known & {token for token, lease in world.twin.leases.items() if not lease.armed}:
        raise ViolationError("the same nonce got another answer, later")
    if again.attempts:
        world.held.append(again)


def settle(world: World, a: int, b: int) -> None:
    """A worker ends some of what it holds, perhaps twice."""
    if not world.held:
        return
    held = world.held.pop(a % len(world.held))
    cut = b % (len(held.attempts) + 1) or len(held.attempts)
    ending, rest = held.attempts[:cut], held.attempts[cut:]
    settlements = [verdict(world, attempt, a // 3 + b // 3 + n) for n, attempt in enumerate(ending)]
    if rest:
        world.held.append(replace(held, attempts=rest))
    world.settle(settlements, held.hint, done=not rest)
    if a % 6 == 0:
        again = world.each(lambda store: store.settle(settlements, held.hint, not rest))
        if Answer.SETTLED in again:
            raise ViolationError("a settlement counted twice")
    world.ended += [(settlement, held.hint) for settlement in settlements]


def late(world: World, a: int, _: int) -> None:
    """An old settlement arrives again."""
    if world.ended:
        settlement, hint = world.ended[a % len(world.ended)]
        world.settle([settlement], hint, done=False)


def renew(world: World, a: int, _: int) -> None:
    if world.held:
        held = world.held[a % len(world.held)]
        tokens = [attempt.token for attempt in held.attempts]
        answers = world.each(lambda store: store.renew(tokens, LEASE, held.hint))
        world.ledger.renewed(world.twin.now, tokens, answers)


def arm(world: World, a: int, b: int) -> None:
    if world.held:
        held = world.held[a % len(world.held)]
        attempt = held.attempts[b % len(held.attempts)]
        if attempt.definition.cyclic and not attempt.definition.verifies:  # a look never overlaps itself
            slot = world.twin.now + 1 + b % 9_000
            if world.each(lambda store: store.arm(attempt.token, slot, slot)):
                world.ledger.armed(attempt.token)


def release(world: World, a: int, _: int) -> None:
    """A worker gives back what it has not started."""
    if world.held:
        held = world.held.pop(a % len(world.held))
        tokens = [attempt.token for attempt in held.attempts]
        world.ledger.ended.update(tokens)
        world.each(lambda store: store.release(tokens, held.hint, True))


def rescue(world: World, _: int, __: int) -> None:
    world.rescue()


def beat(world: World, _: int, __: int) -> None:
    """A heartbeat."""
    world.each(lambda store: store.beat("report", "beat"))


def apply(world: World, _: int, __: int) -> None:
    world.apply()


def go_well(world: World, _: int, __: int) -> None:
    """A beat and workers without any fault."""
    world.advance(20_000)
    world.rescue()
    world.retry_ended()
    beat(world, 0, 0)
    for queue in QUEUES:
        for hint in world.offer(queue, 4):
            world.publish(hint)
            held = world.begin(hint, world.name(), "w")
            ends = [verdict(world, attempt, 5 + n) for n, attempt in enumerate(held.attempts)]
            if world.survives(held):
                world.settle(ends, hint, done=True)
            else:
                world.seen["worker killed by its job"] += 1
    world.check()

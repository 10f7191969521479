"""What somebody has to be told of: found anew each time from what can be seen, named so that it is told once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from moie_worker.plan.breaker import stopped_line
from moie_worker.plan.chain import Link, Missing
from moie_worker.plan.flow import Overview, Regression
from moie_worker.plan.health import heartbeat_health
from moie_worker.plan.regression import ALERT, alerts_of
from moie_worker.plan.states import Health, PhaseStatus
from moie_worker.plan.status import current_phase, phase_status

LINK, HEARTBEAT, WORKER, PLAN, RECEIPTS = "link:", "heartbeat:", "worker:", "plan:", "receipts:"
# What a missing link brings with it, besides all that is behind it in the chain.
FOLLOWS: Mapping[Link, tuple[str, ...]] = {
    Link.BEAT: (HEARTBEAT, RECEIPTS),
    Link.BROKER: (HEARTBEAT, RECEIPTS),
    Link.WORKER: (HEARTBEAT, WORKER, RECEIPTS),
    Link.STATE: (HEARTBEAT, PLAN, RECEIPTS),
    Link.OUTSIDE: (),
}

GONE = "gone:"  # begins the name of the alert of a plan


def stale_heartbeats(plans: Iterable[Overview], stale_after: timedelta) -> Mapping[str, str]:
    """Plans whose heartbeat is missing. A plan that never had one is counted from its loading by nobody: unknown."""
    found: dict[str, str] = {}
    for overview in plans:
        health, message = heartbeat_health(overview.flags.last_heartbeat, overview.now, stale_after)
        if health is Health.STALE:
            found[f"{HEARTBEAT}{overview.flags.name}"] = f"plan {overview.flags.name}: {message}"
    return found


def expired_approvals(plans: Iterable[Overview]) -> Mapping[str, str]:
    """Plans that stand still because nobody approved their phase in time."""
    found: dict[str, str] = {}
    for overview in plans:
        name, phase = overview.flags.name, current_phase(overview)
        if phase is not None and phase_status(overview, phase) is PhaseStatus.EXPIRED:
            found[f"approval:{name}:{phase}"] = (
                f"plan {name}: phase {phase} was not approved in time, which means no; "
                f"`moie approve {phase}` asks and answers anew"
            )
    return found


def stopped_queues(plans: Iterable[Overview]) -> Mapping[str, str]:
    """Queues in which nearly everything fails; they take no work but one job now and then."""
    return {
        f"queue:{overview.flags.name}:{queue}": f"plan {overview.flags.name}: {stopped_line(queue, breaker)}"
        for overview in plans
        for queue, breaker in overview.stopped.items()
    }


def regressions(overview: Overview, found: Sequence[Regression]) -> Mapping[str, str]:
    """Jobs that held and hold no more; those that are too many to be told one by one are counted."""
    plan, more = overview.flags.name, overview.regressed - len(found)
    told = alerts_of(plan, found)
    if more > 0:
        told[f"{ALERT}{plan}"] = f"plan {plan}: more jobs than these REGRESSED, see `moie status`"
    return told


def gone_workers(names: Sequence[str]) -> Mapping[str, str]:
    """Workers that went without a word."""
    return {
        f"{WORKER}{name}": f"worker {name} is gone without a word; what it held is offered again when its leases end"
        for name in names
    }


def broken_link(missing: Missing | None) -> Mapping[str, str]:
    """The link of the chain that does not hold."""
    return {f"{LINK}{missing.link}": missing.message} if missing else {}


def held_back(name: str, missing: Missing | None) -> bool:
    """Whether an alert follows from the missing link, which is told instead: neither raised nor called over."""
    if missing is None:
        return False
    links = list(Link)
    behind = tuple(f"{LINK}{link}" for link in links[links.index(missing.link) + 1 :])
    return name in behind or name.startswith(FOLLOWS[missing.link])


def gone_plans(found: Mapping[str, str], standing: Mapping[str, str], loaded: Collection[str]) -> Mapping[str, str]:
    """Plans that Redis lost. Only a machine that has snapshots of one finds it; it is over when it is loaded again."""
    kept = {name: told for name, told in standing.items() if name.startswith(GONE) and name[len(GONE) :] not in loaded}
    return kept | {f"{GONE}{plan}": told for plan, told in found.items()}

"""What somebody has to be told of: found anew each time from what can be seen, named so that it is told once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from moie_worker.plan.flow import Overview
from moie_worker.plan.health import heartbeat_health
from moie_worker.plan.states import Health, PhaseStatus
from moie_worker.plan.status import current_phase, phase_status


def stale_heartbeats(plans: Iterable[Overview], stale_after: timedelta) -> Mapping[str, str]:
    """Plans whose heartbeat is missing. A plan that never had one is counted from its loading by nobody: unknown."""
    found: dict[str, str] = {}
    for overview in plans:
        health, message = heartbeat_health(overview.flags.last_heartbeat, overview.now, stale_after)
        if health is Health.STALE:
            found[f"heartbeat:{overview.flags.name}"] = f"plan {overview.flags.name}: {message}"
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


def gone_workers(names: Sequence[str]) -> Mapping[str, str]:
    """Workers that went without a word."""
    return {
        f"worker:{name}": f"worker {name} is gone without a word; what it held is offered again when its leases end"
        for name in names
    }


def no_beat(living: int, plans: int) -> Mapping[str, str]:
    """No beat lives, so nothing is offered to the workers."""
    if living or not plans:
        return {}
    return {"beat": "no beat is there: nothing becomes due. Start one: celery -A moie_worker beat"}

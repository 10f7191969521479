"""Whether a phase that asks may begin. Who a person is, is what their machine says of them: a record, not a proof."""

from dataclasses import replace

from moie_worker.plan.definition import PhaseDefinition
from moie_worker.plan.flow import Approval, Overview, Vote
from moie_worker.plan.states import PhaseStatus
from moie_worker.plan.times import Ms


def granted(phase: PhaseDefinition, request: Approval | None) -> bool:
    """Enough people said yes to the phase as it is now, and nobody no. Once given, an approval does not expire."""
    if request is None or request.digest != phase.digest or request.no is not None:
        return False
    return len(request.yes) >= phase.persons


def awaits(phase: PhaseDefinition, request: Approval | None) -> bool:
    """Whether a phase asks for an approval that it does not have for its present jobs."""
    return phase.approval and not granted(phase, request)


def expires_at(phase: PhaseDefinition, request: Approval | None) -> Ms | None:
    """When silence means no; None while the phase is not awaited yet, or answered."""
    if request is None or not request.asked or request.no is not None or not awaits(phase, request):
        return None
    return request.asked + phase.expires_ms


def is_expired(phase: PhaseDefinition, request: Approval | None, now: Ms) -> bool:
    """Nobody said enough in time, which means no; once that is written down, no load with more time takes it back."""
    end = expires_at(phase, request)
    return end is not None and request is not None and (request.told or now >= end)


def expired_phases(overview: Overview) -> list[int]:
    """The phases that were not approved in time, and of which the journal does not say so yet."""
    return [
        phase.id
        for phase in overview.phases
        if (request := overview.approvals.get(phase.id))
        and not request.told
        and is_expired(phase, request, overview.now)
    ]


def answered(phase: PhaseDefinition, request: Approval | None, now: Ms) -> PhaseStatus:
    """The status of the phase that is worked on."""
    if not awaits(phase, request):
        return PhaseStatus.ACTIVE
    if request is not None and request.no is not None and request.digest == phase.digest:
        return PhaseStatus.REJECTED
    return PhaseStatus.EXPIRED if is_expired(phase, request, now) else PhaseStatus.AWAITING_APPROVAL


def refusal(phase: PhaseDefinition, request: Approval, who: str, now: Ms) -> str | None:
    """Why the yes of somebody does not count, None when it does."""
    if granted(phase, request):
        return "is approved already"
    if phase.persons == 1:
        return None
    if request.author and person(who) == person(request.author):
        return f"asks for others than {request.author}, who loaded it"
    if person(who) in {person(vote.who) for vote in open_request(phase, request, now).yes}:
        return f"asks for another person: {person(who)} approved it"
    return None


def open_request(phase: PhaseDefinition, request: Approval, now: Ms) -> Approval:
    """The request as it stands for one more yes: after a no, said or by silence, a new one."""
    if request.asked and request.no is None and not is_expired(phase, request, now):
        return request
    return replace(request, asked=now, yes=(), no=None, told=False)


def approve(phase: PhaseDefinition, request: Approval, vote: Vote) -> Approval:
    """The request with a yes that counts."""
    standing = open_request(phase, request, vote.at)
    return replace(standing, yes=(*standing.yes, vote))


def reject(request: Approval, vote: Vote) -> Approval:
    """The request with a no: it takes back what others said, and one is enough."""
    return replace(request, asked=request.asked or vote.at, yes=(), no=vote, told=False)


def person(who: str) -> str:
    """The user without the machine: `ada@a` and `ada@b` are one person, and so is everybody who shares an account."""
    return who.partition("@")[0]

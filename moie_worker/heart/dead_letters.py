"""Replaying and discarding dead letters, whatever they are of.

A letter is claimed before it is published again and marked after, so that two people cannot replay it at once, and a
process that dies in between leaves it open again when the claim lapses. The letter may then have been published: a
replay happens at least once. Its new id is made of the letter and the number of its replays, so that the second
publication is recognised by its id.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, assert_never
from uuid import NAMESPACE_URL, uuid5

from moie_worker.errors import MoieError, RefusedError
from moie_worker.plan.letters import Letter, LetterFilter, LetterHead, LetterKind
from moie_worker.ports import DeadLetterBox, Pause

CLAIM = timedelta(minutes=1)
BURST = 100  # replays between two pauses, so that thousands do not fall on the workers at once
BURST_PAUSE_S = 0.5


class JobLetters(Protocol):
    """The store's own way with the letters of jobs: job and letter change in one step."""

    def replay(self, job: str, who: str, why: str) -> None:
        """Start the job again. Raises NotFoundError or RefusedError."""
        ...

    def discard(self, job: str, who: str, why: str) -> None:
        """Drop the letter and cancel the job. Raises NotFoundError."""
        ...


class Publisher(Protocol):
    """Puts what died back onto the broker."""

    def task(self, letter: Letter, new_id: str) -> None:
        """Publish the task of a letter under a new id. Raises UnreachableError."""
        ...

    def message(self, letter: Letter) -> None:
        """Push the raw message of a letter back into its queue. Raises UnreachableError."""
        ...


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it and why; `force` overrules what would be refused."""

    who: str
    why: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one letter of many."""

    head: LetterHead
    refused: str = ""  # empty: it was done


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What the command line does with dead letters."""

    box: DeadLetterBox
    jobs: JobLetters
    publisher: Publisher

    def replay(self, letter_id: str, act: Act) -> None:
        """Let it live again. Raises NotFoundError, RefusedError, UnreachableError."""
        letter = self.box.get(letter_id)
        match letter.head.kind:
            case LetterKind.JOB:
                self.jobs.replay(letter.head.name, act.who, act.why)
            case LetterKind.TASK:
                if (reason := letter.payload.get("only_forced")) and not act.force:
                    raise RefusedError(f"dead letter {letter_id} is replayed only when forced: {reason}")
                self._publish(letter, act, self.publisher.task)
            case LetterKind.MESSAGE:
                if not act.force:
                    raise RefusedError(
                        f"dead letter {letter_id} is a message no worker could read ({letter.head.reason}); "
                        "force it once the workers can"
                    )
                self._publish(letter, act, lambda found, _: self.publisher.message(found))
            case _ as never:
                assert_never(never)

    def discard(self, letter_id: str, act: Act) -> None:
        """Drop it for good; the journal keeps what it was. Raises NotFoundError."""
        head = self.box.get(letter_id).head
        if head.kind is LetterKind.JOB:
            self.jobs.discard(head.name, act.who, act.why)
        else:
            self.box.discard(letter_id, act.who, act.why)

    def replay_all(self, wanted: LetterFilter, act: Act, pause: Pause) -> Iterator[Done]:
        """Replay every letter that is meant, in bursts; ends early when the pause is cut short."""
        for number, head in enumerate(matching(self.box, wanted), start=1):
            yield _tried(self.replay, head, act)
            if number % BURST == 0 and not pause(BURST_PAUSE_S):
                return

    def discard_all(self, wanted: LetterFilter, act: Act) -> Iterator[Done]:
        """Discard every letter that is meant."""
        for head in matching(self.box, wanted):
            yield _tried(self.discard, head, act)

    def _publish(self, letter: Letter, act: Act, publish: Callable[[Letter, str], None]) -> None:
        if reason := letter.payload.get("not_replayable"):
            raise RefusedError(f"dead letter {letter.head.id} cannot be replayed: {reason}")
        claim = self.box.claim(letter.head.id, CLAIM, again=act.force)
        new_id = replay_id(claim.letter.head)
        try:
            publish(claim.letter, new_id)
        except MoieError:
            self.box.release(claim)
            raise
        self.box.mark_replayed(claim, new_id, act.who, act.why)


def replay_id(head: LetterHead) -> str:
    """The id of the next replay: the same for every attempt at it."""
    return str(uuid5(NAMESPACE_URL, f"moie-replay:{head.id}:{head.deaths}:{head.replays}"))


def matching(box: DeadLetterBox, wanted: LetterFilter) -> Iterator[LetterHead]:
    """Every letter that is meant, read page by page."""
    cursor = ""
    while True:
        page = box.page(wanted, cursor)
        yield from page.heads
        cursor = page.cursor
        if not cursor:
            return


def _tried(do: Callable[[str, Act], None], head: LetterHead, act: Act) -> Done:
    try:
        do(head.id, act)
    except MoieError as error:
        return Done(head, str(error))
    return Done(head)

"""A part of the payloads goes through a real worker on a real Redis: it lives, and every one is accounted for."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import count as numbers
from itertools import islice
from time import monotonic

from celery import Celery

from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.doors.poison_schema import message_fault
from moie_worker.doors.task_letters import message_death
from moie_worker.errors import NotFoundError
from moie_worker.plan.letters import LetterFilter
from tests.farm import Farm, farm_in, wait_until
from tests.fuzz.payloads import payload

BATCH = 250
QUEUE = "celery"
RECEIVED = re.compile(r"Task [^\[\n]+\[([^\n]*)\] received")  # an id made by chance may hold a bracket, too


@dataclass(frozen=True)
class Lived:
    """What a worker was given, and what became of it."""

    given: int
    letters: int
    restarts: int
    good_tasks: int
    seconds: float


def live(seed: int, given: int) -> Lived:
    """Push so many payloads into the queue of a worker. Raises AssertionError for one that is not accounted for."""
    with redirect_stdout(StringIO()), farm_in("fuzz") as farm:  # it says all that the worker said
        scene = Scene(farm)
        began = monotonic()
        for batch in batches(seed, given):
            scene.push(batch)
        scene.account()
        return Lived(given, scene.box.count(), scene.restarts, scene.good, monotonic() - began)


def batches(seed: int, given: int) -> Iterator[list[bytes]]:
    """The payloads of a seed that lie in queues."""
    made = (payload(seed, number, queued=True).data for number in numbers())
    left = islice(made, given)
    while batch := list(islice(left, BATCH)):
        yield batch


class Scene:
    """A worker of an application that is hardened, and somebody who sends it good tasks between the others."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.box = RedisDeadLetters(connect(farm.server.url), "default")
        self.sender = Celery("hard", broker=farm.server.broker_url)
        self.restarts = self.good = 0
        self.pushed: list[bytes] = []
        self._start()

    def _start(self) -> None:
        where = {"TEST_BROKER": self.farm.server.broker_url, "TEST_LETTERS": self.farm.server.url}
        self.farm.celery("w", "worker", "-c", "2", "-l", "INFO", app="tests.integration.hardened_app", env=where)

    def push(self, batch: list[bytes]) -> None:
        """Give the worker a batch with a good task behind it, and wait until that is done."""
        client = self.farm.server.client
        client.lpush(QUEUE, *batch)
        self.pushed += batch
        good = f"celery-task-meta-{self.sender.send_task('hard.add', [self.good, 1]).id}"
        self.good += 1
        wait_until(lambda: self._alive() and client.exists(good), "a good task is done behind a batch", 120)

    def _alive(self) -> bool:
        if self.farm.processes["w"].poll() is not None:
            self.restarts += 1
            assert self.restarts <= 1, f"the worker ended twice: {self.farm.log('w')[-3000:]}"
            self._start()
        return True

    def account(self) -> None:
        """Every payload is a dead letter with its bytes and a reason, or was received as a task."""
        wait_until(lambda: not self.farm.server.client.hlen("unacked"), "nothing is left unacknowledged", 120)
        received = set(RECEIVED.findall(self.farm.log("w")))
        parked = set(self._parked())
        now = SystemClock().now()
        for raw in self.pushed:
            if message_fault(raw, now) is None:
                message = json.loads(raw)
                task, tag = message["headers"].get("id"), message["properties"]["delivery_tag"]
                assert task in received or tag in parked, f"neither a task nor a letter: {raw!r}"
            else:
                self._is_letter(raw)

    def _is_letter(self, raw: bytes) -> None:
        try:
            letter = self.box.get(message_death(QUEUE, raw, "").id)
        except NotFoundError:
            raise AssertionError(f"no letter: {raw!r}") from None
        assert base64.b64decode(letter.payload["raw_base64"]) == raw
        assert letter.head.reason

    def _parked(self) -> Iterator[str]:
        """The tags of what the sieve let pass and the consumer parked."""
        for head in self.box.page(LetterFilter(), limit=10**6).heads:
            payload = self.box.get(head.id).payload
            try:
                yield str(json.loads(base64.b64decode(payload["raw_base64"]))["properties"]["delivery_tag"])
            except (ValueError, LookupError, TypeError, RecursionError):
                continue  # the sieve's: it holds anything

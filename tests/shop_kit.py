"""An application with its worker and its operator in one process: Celery runs its tasks here, without a pool."""

# mypy: disable-error-code="untyped-decorator,no-untyped-call"

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

from celery import Celery
from celery.worker.request import Request

from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.doors.post import Post
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.doors.watch import Watcher
from moie_worker.errors import NotFoundError
from moie_worker.heart.dead_letters import Act, DeadLetters, Publisher
from moie_worker.plan.letters import Death, Letter, LetterFilter, Measured, Watched
from moie_worker.ports import DeadLetterBox

ACT = Act("ops")
FORCED = Act("ops", force=True)
NUMBERS = count()


class BoxHere(Post):
    """Keeps letters in memory."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.box = MemoryDeadLetters(lambda: datetime(2026, 3, 1, tzinfo=UTC))
        self.runs: list[Watched] = []

    def letter(self, death: Death) -> None:
        self.box.put(death)

    def run(self, run_of: Watched, measured: Measured) -> None:
        assert measured.error
        self.runs.append(run_of)


class NoJobs:
    def replay(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)

    def discard(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)


class Shop:
    """Its task `pay` dies until the bank is back. What its tasks did is in `did`."""

    def __init__(self, app: Celery, post: Post, box: DeadLetterBox) -> None:
        self.app, self.post, self.box = app, post, box
        self.did: list[str] = []
        self.put_back: list[bool] = []
        self.broke = True
        self._define()
        self.watcher = Watcher(self.app, self.post)
        self.watcher.take(self.app.Task)
        self.watcher.connect()

    def _define(self) -> None:
        @self.app.task(name="pay", shared=False)
        def pay(amount: int) -> int:
            if self.broke:
                raise ValueError("no money")
            self.did.append(f"pay {amount}")
            return amount

        @self.app.task(name="tell", shared=False)
        def tell(*what: object) -> None:
            self.did.append(f"tell {what[-1]}")

        self.pay, self.tell = pay, tell

    def work(self) -> list[Request]:
        """Run what lies in the queues, and what that sends; returns what ran."""
        ran = []
        for request in self.taken():
            request.execute()
            ran.append(request)
        return ran

    def taken(self) -> Iterator[Request]:
        """What lies in the queues, as the parent of a pool takes it."""
        with self.app.connection_for_read() as connection:
            for queue in self.app.amqp.queues.consume_from.values():
                while message := queue.bind(connection.default_channel).get(True, self.app.conf.accept_content):
                    yield Request(message, app=self.app, on_reject=self._reject)

    def _reject(self, _: object, __: object, requeue: bool) -> None:
        self.put_back.append(requeue)

    def letter(self) -> Letter:
        (head,) = self.box.page(LetterFilter()).heads
        return self.box.get(head.id)

    def replay(self, act: Act = ACT, publisher: Publisher | None = None) -> list[Any]:
        """The bank is back: replay the one letter, and work."""
        self.broke = False
        DeadLetters(self.box, NoJobs(), publisher or CeleryPublisher(self.app)).replay(self.letter().head.id, act)
        return self.work()


@contextmanager
def shop_with(broker: str = "memory://", letters: str = "", **configuration: Any) -> Iterator[Shop]:
    """A shop on that broker, with its letters in that Redis, or in memory."""
    app = Celery("shop", broker=broker, backend="cache+memory://", set_as_current=False)
    app.conf.update({"task_default_queue": f"shop{next(NUMBERS)}", **configuration})
    here = BoxHere(app)
    post = Post(app, letters) if letters else here
    shop = Shop(app, post, RedisDeadLetters(connect(letters), "default") if letters else here.box)
    try:
        yield shop
    finally:
        shop.watcher.disconnect()
        app.close()

"""An application as somebody else would have written it: its tasks know nothing of moie-worker."""

# mypy: disable-error-code="untyped-decorator,no-untyped-call"

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from celery import Celery, Task
from kombu.entity import Exchange, Queue

import moie_worker
from moie_worker.doors.dead_letter_task import DeadLetterTask

app = Celery("shop", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BROKER"])
app.conf.update(
    beat_schedule={
        "often": {"task": "shop.tick", "schedule": timedelta(seconds=0.5), "args": ["ok"]},
        "badly": {"task": "shop.tick", "schedule": timedelta(seconds=0.5), "args": ["bad"]},
        "nightly": {"task": "shop.tick", "schedule": timedelta(hours=24), "args": ["night"]},
    },
    beat_max_loop_interval=1,
    task_queues=[Queue("celery"), Queue("feeds", Exchange("tasks"), routing_key="feed.import")],
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
if os.environ.get("TEST_WATCH"):
    moie_worker.watch(app, os.environ["TEST_WATCH"])


@app.task(name="shop.charge", bind=True, max_retries=2)
def charge(self: Task, amount: int, **options: object) -> str:
    if options.get("flag") and Path(str(options["flag"])).exists():
        return f"charged {amount}"
    raise self.retry(exc=ValueError(f"no money, password=hunter2 {amount}"), countdown=0)


@app.task(name="shop.slow", time_limit=1)
def slow() -> None:
    time.sleep(60)


@app.task(name="shop.killer")
def killer() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shop.tick")
def tick(how: str) -> None:
    if how == "bad":
        raise OSError("disk")


@app.task(name="shop.add")
def add(left: int, right: int) -> int:
    return left + right


@app.task(name="shop.precious", base=DeadLetterTask)
def precious() -> None:
    raise KeyError("gone")


@app.task(name="shop.plain")
def plain() -> None:
    raise KeyError("gone")

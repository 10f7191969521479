"""An application whose workers outlive anything in their queues."""

# mypy: disable-error-code="untyped-decorator, no-untyped-call"

import os

from celery import Celery
from kombu.common import Broadcast
from kombu.connection import Connection
from kombu.entity import Queue

from moie_worker.doors.poison import harden

app = Celery("hard", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
if os.environ.get("TEST_PREFIX"):
    app.conf.broker_transport_options = {"global_keyprefix": os.environ["TEST_PREFIX"]}
app.conf.task_queues = (Queue("celery"), Broadcast("everyone", routing_key="all"))
harden(app, os.environ["TEST_LETTERS"])
app.conf.event_exchange = os.environ.get("TEST_EVENTS", "celeryev")
if os.environ.get("TEST_LAYER") == "consumer":
    app.amqp.Connection = Connection


@app.task(name="hard.add")
def add(left: int, right: int) -> int:
    return left + right

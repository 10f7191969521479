"""An application whose workers outlive anything in their queues."""

# mypy: disable-error-code="untyped-decorator"

import os

from celery import Celery
from kombu.connection import Connection

from moie_worker.doors.poison import harden

app = Celery("hard", broker=os.environ["TEST_BROKER"], backend=os.environ["TEST_BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
if os.environ.get("TEST_PREFIX"):
    app.conf.broker_transport_options = {"global_keyprefix": os.environ["TEST_PREFIX"]}
harden(app, os.environ["TEST_LETTERS"])
if os.environ.get("TEST_LAYER") == "consumer":
    app.amqp.Connection = Connection


@app.task(name="hard.add")
def add(left: int, right: int) -> int:
    return left + right

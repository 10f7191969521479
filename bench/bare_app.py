"""What one would write with Celery alone: a task a check, with ordinary good settings."""

import os
import subprocess

import redis
from celery import Celery

app = Celery("bare", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)
outcomes = redis.Redis.from_url(os.environ["BENCH_REDIS"])


@app.task  # type: ignore[untyped-decorator]
def check(command: str) -> None:
    """Run one command and count how it ended; nothing is leased, retried or kept as evidence."""
    ended = subprocess.run(["sh", "-c", command], check=False, capture_output=True, timeout=30)
    outcomes.hincrby("outcomes", str(ended.returncode), 1)

"""The Celery application: `celery -A moie_worker worker | beat | flower`."""

import os
import sys
from typing import Any

from celery import Celery

from beat_schedule import BEAT_SCHEDULE
from moie_worker import settings
from moie_worker.adapters.redis.connect import broker_options
from moie_worker.addresses import tls_options
from moie_worker.doors.hints import HEARTBEAT
from moie_worker.doors.poison import harden
from moie_worker.errors import MoieError
from moie_worker.settings import UNHEARD, Settings


def configuration(told: Settings) -> dict[str, Any]:
    """Celery's configuration; docs/explanation says why each line is there."""
    broker = told.celery_broker_url()
    timeout = told.redis_timeout.total_seconds()
    return {
        "broker_url": broker,
        "broker_use_ssl": tls_options(told.broker_address()),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": 2 * timeout,
        "control_exchange": told.control_exchange,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_ignore_result": True,
        "task_default_queue": "default",
        "task_create_missing_queues": True,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": True,
        "worker_concurrency": (os.cpu_count() or 1) + 1,  # one process of the pool is kept for heartbeats
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "beat_scheduler": "plan",
        "beat_enable_remote_control": True,
        "beat_schedule": beat_schedule(told),
        "enable_utc": True,
        "timezone": "UTC",
        "imports": ["moie_worker.doors.tasks"],
        **(_on_rabbitmq(timeout) if broker.startswith("amqp") else _on_redis(told, timeout)),
    }


def _on_redis(told: Settings, timeout: float) -> dict[str, Any]:
    return {
        "broker_transport_options": {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_keepalive": True,
            "health_check_interval": timeout / 2,  # what froze is then found within 1.5 time limits
            **({} if told.control else _own_names()),
            **broker_options(told.broker_address(), told.redis_timeout),
        },
    }


def _on_rabbitmq(timeout: float) -> dict[str, Any]:
    """Queues that outlive a node; a broker that takes no message, or does not answer, is found out."""
    return {
        "broker_transport_options": {"confirm_publish": True, "write_timeout": timeout},
        "broker_connection_timeout": timeout,
        "broker_heartbeat": 2 * timeout,
        "task_default_queue_type": "quorum",
        "task_create_missing_queue_type": "quorum",
        # We send nothing with a delay; without these words Celery makes 28 quorum queues for that, and warns.
        "broker_native_delayed_delivery_queue_type": "classic",
        "task_default_exchange_type": "topic",
    }


def _own_names() -> dict[str, str]:
    """Of what kombu keeps about messages that it took: whoever may only look takes none of the workers' messages."""
    return {f"{what}_key": f"{UNHEARD}.{what}" for what in ("unacked", "unacked_index", "unacked_mutex")}


def beat_schedule(told: Settings) -> dict[str, dict[str, Any]]:
    """The entries of beat_schedule.py, with the period of the heartbeat from the settings."""
    entries = {name: dict(entry) for name, entry in BEAT_SCHEDULE.items()}
    for entry in entries.values():
        if entry["task"] == HEARTBEAT:
            entry["schedule"] = told.heartbeat.total_seconds()
    return entries


def make_app() -> Celery:
    """The application that the environment describes. Ends the process with a line of explanation where it cannot."""
    app = Celery("moie_worker")
    try:
        app.conf.update(configuration(settings.load()))
        harden(app)
        app.steps["consumer"].add("moie_worker.doors.turning:Turning")
    except MoieError as error:
        sys.stderr.write(f"moie-worker: {error}\n")
        raise SystemExit(error.exit_code) from None
    return app


app = make_app()

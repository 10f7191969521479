"""moie-worker: a Celery-native autopilot that runs plans to their verified end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    from moie_worker.doors.watch import Watcher


def watch(app: "Celery", redis_url: str | None = None, plan: str | None = None) -> "Watcher":
    """Give an existing Celery application dead letters and the health of its periodic tasks; see the how-to."""
    from moie_worker.doors.watch import watch as watch_signals  # Celery takes a while to import

    return watch_signals(app, redis_url, plan)

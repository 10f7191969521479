"""What beat fires and how often, besides the jobs of the plans: plain data, as Celery's `beat_schedule` takes it.

The period of the heartbeat is the setting MOIE_HEARTBEAT, applied where the application is made.
"""

from typing import Any

HEARTBEAT = "moie.heartbeat"

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "heartbeat": {"task": HEARTBEAT, "schedule": 600.0},
}

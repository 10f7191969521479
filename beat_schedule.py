"""What beat fires and how often, besides the jobs of the plans: plain data, as Celery's `beat_schedule` takes it.

The period of the heartbeat is the setting MOIE_HEARTBEAT, applied where the application is made.
"""

from typing import Any

from moie_worker.doors.hints import HEARTBEAT

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # The first one comes as soon as a beat runs: until then nobody knows whether the whole chain works. One that no
    # worker took is superseded by the next: a heartbeat looks at how things stand, so that two in a row find the same.
    "heartbeat": {"task": HEARTBEAT, "schedule": 600.0, "options": {"first": "at_once", "supersede": True}},
}

"""An application that has nothing to do with plans: three periodic tasks of its own, `celery beat -S plan`."""

# mypy: disable-error-code="untyped-decorator"

import os
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.schedules import crontab

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.update(
    beat_scheduler="plan",
    beat_schedule={
        "often": {"task": "shop.tick", "schedule": float(os.environ.get("SHOP_EVERY", "1")), "args": ["often"]},
        "minutely": {"task": "shop.tick", "schedule": crontab(), "args": ["minutely"]},
        "once": {
            "task": "shop.tick",
            "schedule": 1.0,
            "args": ["once"],
            "options": {"delivery": "at_most_once"},
        },
    },
    broker_connection_retry_on_startup=True,
    beat_enable_remote_control=True,
)
for name in os.environ.get("SHOP_WITHOUT", "").split():
    del app.conf.beat_schedule[name]


@app.task(name="shop.tick", bind=True, ignore_result=True)
def tick(self: Task[Any, Any], entry: str) -> None:
    with Path(os.environ["SHOP_TOLD"]).open("a") as file:
        file.write(f"{entry} {self.request.id}\n")

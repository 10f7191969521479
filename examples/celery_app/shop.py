"""An ordinary Celery application: three periodic tasks that know nothing of moie-worker.

Two lines join them: `moie_worker.watch` keeps what failed for good and the health of what is periodic, and the
scheduler `plan` lets any number of beats run side by side.

    export CELERY_BROKER_URL=redis://localhost:6379/0  # letters go there too, unless MOIE_REDIS_URL is set
    celery -A shop worker
    celery -A shop beat         # as many as you like
"""

from celery import Celery
from celery.schedules import crontab

import moie_worker

app = Celery("shop")
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    beat_scheduler="plan",
    beat_schedule={
        "prices": {"task": "shop.fetch_prices", "schedule": 10.0},
        "mail": {"task": "shop.send_mail", "schedule": 15.0, "options": {"delivery": "at_most_once"}},
        "report": {"task": "shop.write_report", "schedule": crontab(hour=6, minute=0)},
    },
)
moie_worker.watch(app)


@app.task(name="shop.fetch_prices", autoretry_for=(ConnectionError,), max_retries=2, retry_backoff=True)
def fetch_prices() -> str:
    """Ask the supplier. Its line is down: after three attempts this is a dead letter with its reason."""
    raise ConnectionError("the supplier does not answer")


@app.task(name="shop.send_mail")
def send_mail() -> str:
    """Rather lost than sent twice, says its entry."""
    return "sent"


@app.task(name="shop.write_report")
def write_report() -> str:
    """Every morning."""
    return "written"

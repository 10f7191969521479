"""A worker's consumer that waits where Redis lets it in and forbids what it needs, instead of asking on and on."""

import logging
import time

from moie_worker.adapters.redis.connect import FORBIDDEN
from moie_worker.doors.poison_consumer import PoisonConsumer

log = logging.getLogger(__name__)

PAUSE_S = 2.0


class PatientConsumer(PoisonConsumer):
    """Named by `worker_consumer`."""

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Celery connects anew at once, which is refused at once: the pause keeps the log short."""
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, FORBIDDEN):
            log.error("the broker forbids what a worker needs: %s. Widen the ACL of its user, see `moie acl`", exc)
            time.sleep(PAUSE_S)

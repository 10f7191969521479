"""A scheduler that is killed at the worst moment: `celery -A tests.ordinary_app beat -S tests.dying_beats:Dying`."""

import os
import signal
from functools import cached_property
from typing import Any

from moie_worker.doors.delivery import Delivery, Slot
from moie_worker.doors.firing import Firing
from moie_worker.doors.scheduler import PlanScheduler


class DyingDelivery(Delivery):
    """Gets a SIGKILL before or after it publishes the entry that SHOP_DIES names, as `often before`."""

    def send(self, slot: Slot, producer: Any = None) -> None:
        name, when = os.environ["SHOP_DIES"].split()
        if slot.entry.name == name and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().send(slot, producer)
        if slot.entry.name == name:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingFiring(Firing):
    """Delivers so."""

    _delivers = DyingDelivery


class Dying(PlanScheduler):
    """Fires so."""

    @cached_property
    def _firing(self) -> Firing:
        return DyingFiring(self.app, self._system, self.schedule, self._complaints)

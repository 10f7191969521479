"""The whole twin."""

from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.memory.offers import Offers
from moie_worker.adapters.memory.operating import Operating
from moie_worker.adapters.memory.reading import Reading
from moie_worker.adapters.memory.receipts import Receipts
from moie_worker.adapters.memory.snapshots import Snapshots
from moie_worker.adapters.memory.steps import Steps


class MemoryStore(Offers, Steps, Snapshots, Operating, Reading, Receipts):
    """One plan in memory, with a time that moves only when told."""

    def __init__(self, plan: str = "default", time: ManualTime | None = None) -> None:
        super().__init__(plan, time or ManualTime())

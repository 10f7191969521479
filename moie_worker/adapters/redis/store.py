"""The whole store of one plan in Redis."""

from moie_worker.adapters.redis.operating import Operating
from moie_worker.adapters.redis.reading import Reading
from moie_worker.adapters.redis.receipts import Receipts
from moie_worker.adapters.redis.snapshots import Saving
from moie_worker.adapters.redis.steps import Steps


class RedisStore(Steps, Saving, Operating, Reading, Receipts):
    """One plan in Redis: the truth."""

"""The whole store of one plan in Redis."""

from moie_worker.adapters.redis.auditing import Auditing
from moie_worker.adapters.redis.operating import Operating
from moie_worker.adapters.redis.receipts import Receipts
from moie_worker.adapters.redis.snapshots import Saving
from moie_worker.adapters.redis.steps import Steps


class RedisStore(Steps, Saving, Operating, Auditing, Receipts):
    """One plan in Redis: the truth."""

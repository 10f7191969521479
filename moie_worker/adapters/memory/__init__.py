"""The in-memory twin of the Redis store: the executable specification of the protocol.

It knows nothing of sorted sets and scripts; it says what must hold after every step, and one contract suite holds both
to it. Tests use it where no process is involved.
"""

from moie_worker.adapters.memory.store import MemoryStore

__all__ = ["MemoryStore"]

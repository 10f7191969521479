"""Alerts that stand, kept where every watcher sees them: raised once, cleared once, whoever finds them."""

from collections.abc import Mapping

from redis import Redis

from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import ALERTS, EVENTS
from moie_worker.adapters.redis.scripts import Scripts


class RedisAlerts:
    """A hash of what stands, and a capped stream of what was raised and cleared."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._where = address_of(client)

    def raise_once(self, name: str, message: str) -> bool:
        """False when it stands already."""
        return self._run("alert_raise", {"name": name, "message": message})

    def clear_once(self, name: str) -> bool:
        """False when it does not stand any more."""
        return self._run("alert_clear", {"name": name})

    def standing(self) -> Mapping[str, str]:
        """Messages by name."""
        with translated(self._where):
            return {str(name): str(message) for name, message in self._client.hgetall(ALERTS).items()}

    def _run(self, operation: str, args: Mapping[str, str]) -> bool:
        with translated(self._where):
            return bool(self._scripts.run(operation, [ALERTS, EVENTS], args))

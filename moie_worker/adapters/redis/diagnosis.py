"""What a Redis says of itself, for `moie doctor`."""

from typing import Any

from redis import Redis

from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.plan.doctor import RedisFacts
from moie_worker.plan.times import ms_of


def examine(client: Redis, clock: SystemClock) -> RedisFacts:
    """One look; raises UnreachableError."""
    with translated(address_of(client)):
        client.ping()
        before, begun = clock.now(), clock.monotonic()
        raw: Any = client.time()
        took_s = clock.monotonic() - begun
        info: Any = client.info()
    seconds, micros = raw
    return RedisFacts(
        name="Valkey" if "valkey_version" in info else "Redis",
        version=str(info.get("valkey_version") or info["redis_version"]),
        speaks=str(info["redis_version"]),
        append_only=bool(info.get("aof_enabled")),
        eviction=str(info.get("maxmemory_policy", "")),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        primary=info.get("role") == "master",
        round_trip_s=took_s,
        ahead_s=(int(seconds) * 1000 + int(micros) / 1000 - ms_of(before)) / 1000 - took_s / 2,
    )

"""How far heartbeats come, kept where every watcher sees it."""

import json

from redis import Redis

from moie_worker.adapters.redis.base import UNFIT
from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import CHAIN
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.plan.chain import Mark, Pulse, Station, Trace
from moie_worker.plan.limits import AHEAD_MS

NOTE_KEPT = 500  # characters


class RedisChain:
    """Implements `Chain`: a hash with the newest heartbeat of each station."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._where = address_of(client)

    def mark(self, station: Station, pulse: Pulse, note: str = "") -> None:
        """See `Chain`."""
        args = {"station": str(station), "pulse": pulse.id, "slot": pulse.slot, "note": note[:NOTE_KEPT]}
        with translated(self._where):
            self._scripts.run("chain_mark", [CHAIN], args)

    def trace(self) -> Trace:
        """See `Chain`."""
        known = {str(station) for station in Station}  # a newer release may have more of them
        with translated(self._where):
            found: dict[str, str] = self._client.hgetall(CHAIN)  # type: ignore[assignment]
        marks = ((Station(name), _mark(text)) for name, text in found.items() if name in known)
        return {station: mark for station, mark in marks if mark is not None}


def _mark(text: str) -> Mark | None:
    """None for what is no mark or was seen long before it was due: the next heartbeat writes it anew."""
    try:
        record = json.loads(text)
        mark = Mark(Pulse(str(record["pulse"]), int(record["slot"])), int(record["at"]), str(record["note"]))
    except UNFIT:
        return None
    return mark if mark.pulse.slot <= mark.at + AHEAD_MS else None

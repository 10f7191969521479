"""The run log in Redis: the last runs of everything periodic that is no job of the plan."""

import json
from datetime import timedelta
from typing import Any, cast

from redis import Redis

from moie_worker.adapters.redis.connect import address_of, translated
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.plan.letters import Measured, Run, RunHistory, Watched
from moie_worker.plan.times import moment, to_ms

ERROR_KEPT = 500  # characters of an error's text kept with each run


class RedisRunLog:
    """Implements `RunLog`. Safe to use from several threads."""

    def __init__(self, client: Redis, plan: str) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._keys = Keys(plan)
        self._where = address_of(client)

    def record(self, run_of: Watched, measured: Measured, ago: timedelta = timedelta()) -> None:
        """See `RunLog`. Raises UnreachableError."""
        interval = None if run_of.interval is None else run_of.interval.total_seconds()
        self._run(
            "run_record",
            name=run_of.name,
            ok=int(not measured.error),
            ago_ms=to_ms(ago),
            run=json.dumps(run_fields(measured)),
            watched=json.dumps({"entry": run_of.entry, "interval_s": interval}),
        )

    def history(self, name: str) -> RunHistory:
        """See `RunLog`."""
        runs, failures, kept_failures, log = self._run("run_history", name=name)
        return RunHistory(name, int(runs), int(failures), int(kept_failures), [_run(entry) for entry in log])

    def watched(self) -> list[Watched]:
        """See `RunLog`."""
        with translated(self._where):
            found = cast(dict[str, str], self._client.hgetall(self._keys("note", "watched")))
        return [_watched(name, json.loads(text)) for name, text in sorted(found.items())]

    def forget(self, name: str) -> None:
        """See `RunLog`."""
        self._run("run_forget", name=name)

    def _run(self, script: str, **args: Any) -> Any:
        with translated(self._where):
            return self._scripts.run(script, [self._keys("plan")], args)


def run_fields(measured: Measured) -> dict[str, Any]:
    """What a run is on the wire; its time is added by Redis."""
    return {
        "duration_s": round(measured.duration_s, 6),
        "cpu_s": round(measured.cpu_s, 6),
        "max_rss_bytes": measured.max_rss_bytes,
        "error": measured.error[:ERROR_KEPT],
    }


def _run(entry: str) -> Run:
    fields = json.loads(entry[1:])  # its first character says whether it was a success
    return Run(
        moment(fields["at_ms"]),
        Measured(fields["duration_s"], fields["cpu_s"], fields["max_rss_bytes"], fields["error"]),
    )


def _watched(name: str, fields: dict[str, Any]) -> Watched:
    seconds = fields["interval_s"]
    return Watched(name, None if seconds is None else timedelta(seconds=seconds), fields["entry"])

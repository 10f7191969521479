"""From letters back to Celery's messages."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery import Celery

from moie_worker.doors.task_letters import OPTIONS, REPLAY_OF
from moie_worker.errors import RefusedError
from moie_worker.plan.letters import Letter


@dataclass(frozen=True, slots=True)
class CeleryPublisher:
    """Implements `Publisher` with the broker of an application."""

    app: Celery

    def task(self, letter: Letter, new_id: str) -> None:
        """See `Publisher`. The new task's parent is the one that died, its root the root of that."""
        payload = letter.payload
        self.app.send_task(
            payload["task"],
            args=payload["args"],
            kwargs=payload["kwargs"],
            task_id=new_id,
            parent_id=payload["id"],
            root_id=payload["root_id"] or payload["id"],
            headers={**payload["headers"], REPLAY_OF: letter.head.id},
            **_options(payload),
            **_address(payload),
        )

    def message(self, letter: Letter) -> None:
        """See `Publisher`. Raises RefusedError where the broker is no Redis: elsewhere a queue takes no raw bytes."""
        raw, queue = base64.b64decode(letter.payload["raw_base64"]), letter.payload["queue"]
        if not queue:
            raise RefusedError(f"nobody knows the queue of {letter.head.id}. `moie dead show` has its bytes")
        with self.app.connection_for_write() as connection:
            if connection.transport.driver_type != "redis":
                raise RefusedError(
                    f"the raw message {letter.head.id} goes back to a Redis broker only. `moie dead show` has its bytes"
                )
            connection.default_channel.client.lpush(queue, raw)


def _options(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What follows the task, and limits it; letters of earlier versions do not know."""
    kept = payload.get("options", {})
    return {name: kept[name] for name in OPTIONS if name in kept}


def _address(payload: Mapping[str, Any]) -> dict[str, Any]:
    priority: dict[str, Any] = {} if payload["priority"] is None else {"priority": payload["priority"]}
    if payload["exchange"]:
        return {"exchange": payload["exchange"], "routing_key": payload["routing_key"], **priority}
    # The nameless exchange delivers to the queue of that name; without one the application's routes decide.
    return {"queue": payload["routing_key"], **priority} if payload["routing_key"] else priority

"""A `moie up` with dummy parts, for the tests of the supervisor: argument 1 is a JSON document."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from moie_worker.adapters import control, embedded, supervisor
from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.home import Home, hold
from moie_worker.adapters.parts import Part, redis_part
from moie_worker.adapters.processes import Launch
from moie_worker.adapters.restarts import Rules
from moie_worker.errors import MoieError


def part(spec: dict[str, Any]) -> Part:
    return Part(
        name=spec["name"],
        launch=Launch([sys.executable, "-u", "-c", spec["code"]]),
        needs=spec.get("needs", ()),
        ready_line=spec.get("ready_line", ""),
        ready_timeout=timedelta(seconds=spec.get("ready_timeout", 10)),
        stop_timeout=timedelta(seconds=spec.get("stop_timeout", 10)),
    )


def run(spec: dict[str, Any], announce: control.Announce) -> supervisor.Result:
    home = Home(Path(spec["home"]))
    with hold(home, SystemClock().now()):
        parts = [part(each) for each in spec["parts"]]
        if spec.get("redis"):
            parts.insert(0, redis_part(embedded.prepare(home, spec.get("port"))))
        return supervisor.Supervisor(
            parts,
            home,
            on_line=tell,
            on_ready=lambda: ready(spec, announce),
            secrets=spec.get("secrets", ()),
            rules=Rules(**spec.get("rules", {})),
        ).run()


def ready(spec: dict[str, Any], announce: control.Announce) -> None:
    if "refusal" in spec:
        raise MoieError(spec["refusal"])
    announce(supervisor.Result(0, "all ready"))


def tell(kind: str, text: str) -> None:
    sys.stdout.write(f"{kind}|{text}\n")
    sys.stdout.flush()


def main() -> None:
    spec = json.loads(sys.argv[1])
    try:
        if spec.get("detach"):
            result = control.detach(Home(Path(spec["home"])), lambda announce: run(spec, announce))
        else:
            result = run(spec, lambda said: tell("ready", said.message))
    except MoieError as error:
        result = supervisor.Result(error.exit_code, str(error))
    tell("result", result.message)
    sys.exit(result.exit_code)


if __name__ == "__main__":
    main()

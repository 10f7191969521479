"""What `moie up` starts: a worker, a beat and Flower, on the embedded Redis or the one that the settings name."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from moie_worker import settings
from moie_worker.adapters import embedded
from moie_worker.adapters.home import Home
from moie_worker.adapters.parts import Part, redis_part
from moie_worker.adapters.processes import Launch, free_port
from moie_worker.addresses import sentinels_of
from moie_worker.errors import InputError
from moie_worker.plan.duration import format_duration
from moie_worker.settings import Settings
from moie_worker.wiring import System

DEFAULT_QUEUE = "default"
WORKER_STOP = timedelta(seconds=30)  # running commands may finish for so long
FLOWER = "flower"


@dataclass(frozen=True, slots=True)
class Assembly:
    """All parts of one `moie up`, and what people need to know of them."""

    parts: Sequence[Part]
    redis: str  # without its password
    flower: str  # empty without Flower
    flower_user: str
    password_file: str  # empty when the password was given
    secrets: Sequence[str]

    def addresses(self) -> list[str]:
        """One line for each place that answers."""
        lines = [f"Redis   {self.redis}"]
        if self.flower:
            asked = f"password in {self.password_file}" if self.password_file else "MOIE_FLOWER_PASSWORD"
            lines += [f"Flower  {self.flower}", f"        user {self.flower_user}, {asked}"]
        return lines


def assemble(told: Settings, home: Home, queues: Iterable[str], *, flower: bool) -> Assembly:
    """Make everything ready to be started; call it while holding the home.

    Raises UnreachableError, RefusedError, InputError.
    """
    known = {DEFAULT_QUEUE, *queues}
    parts: list[Part] = []
    if told.embedded:
        if home.redis_data.exists() and any(home.redis_data.iterdir()):
            with embedded.running(home, told.embedded_port):
                known |= loaded_queues(told)
        parts.append(redis_part(embedded.prepare(home, told.embedded_port)))
    else:
        known |= loaded_queues(told)
    needs = [part.name for part in parts]
    environment = child_environment(told)
    url, secrets = "", list[str]()
    if flower:
        port = _port(told)
        url = f"http://{told.flower_host}:{port}"
        secrets.append(told.flower_password.get_secret_value() if told.flower_password else home.secret(FLOWER))
        login = {"FLOWER_BASIC_AUTH": f"{told.flower_user}:{secrets[0]}"}
        parts.append(_flower(environment | login, needs, told, port))
        environment["FLOWER_URL"] = url  # for checks that ask whether Flower is well
    parts += [_worker(environment, needs, sorted(known)), _beat(environment, needs)]
    return _assembly(told, home, parts, url, secrets)


def loaded_queues(told: Settings) -> set[str]:
    """The queues of every plan that is loaded. Raises UnreachableError."""
    system = System(told)
    return {queue for plan in system.fleet.plans() for queue in system.store(plan).overview().queues}


def child_environment(told: Settings) -> dict[str, str]:
    """What the parts are told besides this process's environment."""
    environment = settings.base_environment()
    programs = Path(sys.executable).parent  # checks may call `moie`, `celery` and `python` of this installation
    return environment | {
        "PATH": f"{programs}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "MOIE_HOME": str(told.home),
        "MOIE_PLAN": told.plan,
        "MOIE_HEARTBEAT": format_duration(told.heartbeat),
        "PYTHONUNBUFFERED": "1",
    }


def _assembly(told: Settings, home: Home, parts: Sequence[Part], flower: str, secrets: Sequence[str]) -> Assembly:
    url = urlsplit(told.state_url())
    place = sentinels_of(told.state_url())
    hidden = (*secrets, url.password, place.sentinel_password if place else None)
    return Assembly(
        parts=parts,
        redis=f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}",
        flower=flower,
        flower_user=told.flower_user,
        password_file="" if told.flower_password else str(home.root / f"{FLOWER}.secret"),
        secrets=[secret for secret in hidden if secret],
    )


def _worker(environment: dict[str, str], needs: Sequence[str], queues: Sequence[str]) -> Part:
    return Part(
        name="worker",
        launch=_celery(environment, "worker", "-Q", ",".join(queues), "-n", "moie@%h", "--without-mingle"),
        needs=needs,
        ready_line=" ready.",
        stop_timeout=WORKER_STOP,
    )


def _beat(environment: dict[str, str], needs: Sequence[str]) -> Part:
    return Part(name="beat", launch=_celery(environment, "beat"), needs=needs, ready_line="beat: Starting")


def _port(told: Settings) -> int:
    """Where Flower will listen. Raises InputError."""
    try:
        return free_port(told.flower_port, told.flower_host)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
        reason = error.strerror if isinstance(error, OSError) else "is no name of a host"
        raise InputError(
            f"MOIE_FLOWER_HOST: {told.flower_host}: {reason}. Give an address of this machine, or --no-flower"
        ) from None


def _flower(environment: dict[str, str], needs: Sequence[str], told: Settings, port: int) -> Part:
    options = (f"--address={told.flower_host}", f"--port={port}")
    return Part(name=FLOWER, launch=_celery(environment, FLOWER, *options), needs=needs, ready_line="Visit me at")


def _celery(environment: dict[str, str], command: str, *options: str) -> Launch:
    level = () if command == FLOWER else ("-l", "INFO")
    argv = [sys.executable, "-m", "celery", "-A", "moie_worker", command, *options, *level]
    return Launch(argv, env=environment)

"""Faults that come at random: each breaks something, lasts for a while, and is healed at its end."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from moie_worker.adapters.guard import everyone
from tests.clock_kit import WrongClock
from tests.farm import Farm, wait_until
from tests.wire import Way, Wire

WORKERS = ("w1", "w2", "w3")
BEATS = ("b1", "b2")
AFAR = "w3"  # reaches Redis by a wire that can be cut
WRONG = {"w2": timedelta(hours=2), "b2": timedelta(hours=-2)}  # whose clocks are wrong, all the time
PATIENCE_S = 120.0
LONGEST_S = 10.0  # longer than a lease and what follows it


@dataclass
class Scene:
    """Three workers, two beats and a Redis, with whatever befalls them."""

    farm: Farm
    wire: Wire
    rng: Random
    deeds: Counter[str] = field(default_factory=Counter)
    by_themselves: Counter[str] = field(default_factory=Counter)  # processes that ended without being told to

    def start(self, name: str) -> None:
        env: dict[str, str] = {}
        if name == AFAR:
            env["MOIE_REDIS_URL"] = self.farm.server.url_through(self.wire.at)
        if name in WRONG:
            env |= WrongClock(self.farm.directory, name, WRONG[name]).env
        (self.farm.beat if name in BEATS else self.farm.worker)(name, env=env)

    def supervise(self) -> None:
        """Start again what ended, as systemd would."""
        for name in (*WORKERS, *BEATS):
            process = self.farm.processes.get(name)
            if process is None or process.poll() is not None:
                if process is not None:
                    self.by_themselves[name] += 1
                self.start(name)

    def last(self, most_s: float = LONGEST_S) -> None:
        time.sleep(self.rng.uniform(0.3, most_s))

    def tell(self, number: signal.Signals, *names: str) -> None:
        """A signal to processes and all of their groups."""
        for name in names:
            with suppress(ProcessLookupError):
                os.killpg(self.farm.processes[name].pid, number)


Misfortune = Callable[[Scene], Iterator[None]]


def child_killed(scene: Scene) -> Iterator[None]:
    """One process of a worker's pool."""
    parents = [process.pid for name, process in scene.farm.processes.items() if name in WORKERS]
    children = [process.pid for process in everyone() if process.parent in parents and process.alive]
    if children:
        with suppress(ProcessLookupError):
            os.kill(scene.rng.choice(children), signal.SIGKILL)
    yield


def killed(scene: Scene, *names: str) -> Iterator[None]:
    for name in names:
        scene.farm.kill(name)
    yield
    for name in names:
        scene.start(name)


def worker_killed(scene: Scene) -> Iterator[None]:
    return killed(scene, scene.rng.choice(WORKERS))


def workers_killed(scene: Scene) -> Iterator[None]:
    return killed(scene, *WORKERS)


def beat_killed(scene: Scene) -> Iterator[None]:
    return killed(scene, scene.rng.choice(BEATS))


def beats_killed(scene: Scene) -> Iterator[None]:
    return killed(scene, *BEATS)


def worker_ended(scene: Scene) -> Iterator[None]:
    """As systemd asks, then as it does when it loses patience."""
    name = scene.rng.choice(WORKERS)
    scene.farm.processes[name].send_signal(scene.rng.choice([signal.SIGTERM, signal.SIGQUIT]))
    yield
    scene.farm.kill(name)
    scene.start(name)


def frozen(scene: Scene, *names: str) -> Iterator[None]:
    scene.tell(signal.SIGSTOP, *names)
    yield
    scene.tell(signal.SIGCONT, *names)


def worker_frozen(scene: Scene) -> Iterator[None]:
    return frozen(scene, scene.rng.choice(WORKERS))


def beat_frozen(scene: Scene) -> Iterator[None]:
    return frozen(scene, scene.rng.choice(BEATS))


def redis_killed(scene: Scene) -> Iterator[None]:
    scene.farm.server.kill()
    yield
    scene.farm.server.start()


def redis_frozen(scene: Scene) -> Iterator[None]:
    with scene.farm.server.frozen():
        yield


def redis_full(scene: Scene) -> Iterator[None]:
    scene.farm.server.client.config_set("maxmemory", 1)
    yield
    scene.farm.server.client.config_set("maxmemory", 0)


def redis_held_by_a_script(scene: Scene) -> Iterator[None]:
    ends = "local t = redis.call('TIME')[1] + ARGV[1]; while redis.call('TIME')[1] + 0 < t do end"
    scene.farm.server.client.eval(ends, 0, scene.rng.randint(1, 4))
    yield


def password_changed(scene: Scene) -> Iterator[None]:
    client = scene.farm.server.client
    password = str(client.config_get("requirepass")["requirepass"])
    client.config_set("requirepass", "another-one")
    client.client_kill_filter(skipme=True)
    yield
    client.config_set("requirepass", password)


def connections_dropped(scene: Scene) -> Iterator[None]:
    scene.farm.server.client.client_kill_filter(skipme=True)
    yield


def wire_cut(way: Way, scene: Scene) -> Iterator[None]:
    with scene.wire.cut(way):
        yield


def messages(scene: Scene) -> list[bytes]:
    """What waits in the queue; some of it is no text."""
    with redis.Redis.from_url(scene.farm.server.url, retry=Retry(ConstantBackoff(0.05), 100)) as client:
        return list(client.lrange("default", 0, -1))


def garbage(scene: Scene) -> Iterator[None]:
    """Bytes of no meaning, and a true message that was changed."""
    client, rng = scene.farm.server.client, scene.rng
    for _ in range(rng.randint(1, 5)):
        client.lpush("default", rng.randbytes(rng.randint(0, 300)))
    for message in messages(scene)[:1]:
        at = rng.randrange(len(message))
        client.lpush("default", message[:at] + rng.choice([b"", b"x", b"}", b"\0"]) + message[at + 1 :])
    yield


def messages_doubled(scene: Scene) -> Iterator[None]:
    for message in messages(scene)[:5]:
        scene.farm.server.client.lpush("default", *[message] * scene.rng.choice([1, 1, 100]))
    yield


def messages_lost(scene: Scene) -> Iterator[None]:
    scene.farm.server.client.ltrim("default", 1, 0)
    yield


def snapshots_refused(scene: Scene) -> Iterator[None]:
    """No snapshot can be kept on the disk."""
    home = Path(scene.farm.settings["MOIE_HOME"])
    folder, aside = home / "snapshots", home / "aside"
    if not folder.exists():
        yield
        return
    folder.rename(aside)
    folder.write_text("a file where the directory should be")
    yield
    folder.unlink()
    aside.rename(folder)


# How often each comes; what it does to the rest of the system says how long it lasts.
LASTING: dict[str, tuple[float, Misfortune]] = {
    "worker killed": (3, worker_killed),
    "workers killed": (1, workers_killed),
    "beat killed": (2, beat_killed),
    "beats killed": (1, beats_killed),
    "worker asked to end": (2, worker_ended),
    "worker frozen": (2, worker_frozen),
    "beat frozen": (2, beat_frozen),
    "redis killed": (2, redis_killed),
    "redis frozen": (2, redis_frozen),
    "redis full": (1, redis_full),
    "password changed": (1, password_changed),
    "snapshots refused": (1, snapshots_refused),
    **{f"wire cut, {way}": (1, partial(wire_cut, way)) for way in Way},
}
SUDDEN: dict[str, tuple[float, Misfortune]] = {
    "pool child killed": (4, child_killed),
    "redis held by a script": (1, redis_held_by_a_script),
    "connections dropped": (1, connections_dropped),
    "garbage in the queue": (2, garbage),
    "messages doubled": (2, messages_doubled),
    "messages lost": (2, messages_lost),
}
SHORT_S = 4.0  # of what stops everybody: else there is nothing to be hit
STOPPING = ("redis", "password", "workers", "beats")


def strike(scene: Scene) -> None:
    """One misfortune, or two at a time; all is healed when this returns."""
    with ExitStack() as stack:
        lasting = _draw(scene, LASTING)
        stack.enter_context(_doing(scene, lasting, LASTING))
        if not lasting.startswith(("redis", "password")) and scene.rng.random() < 0.3:
            stack.enter_context(_doing(scene, _draw(scene, SUDDEN), SUDDEN))
        scene.last(SHORT_S if lasting.startswith(STOPPING) else LONGEST_S)
    if scene.rng.random() < 0.5:
        with _doing(scene, _draw(scene, SUDDEN), SUDDEN):
            pass


def _draw(scene: Scene, among: dict[str, tuple[float, Misfortune]]) -> str:
    return scene.rng.choices(list(among), [weight for weight, _ in among.values()])[0]


def _doing(scene: Scene, name: str, among: dict[str, tuple[float, Misfortune]]) -> AbstractContextManager[None]:
    scene.deeds[name] += 1
    return contextmanager(among[name][1])(scene)


def calm(scene: Scene) -> None:
    """Everything is there again, and answers."""
    scene.supervise()
    wait_until(lambda: _writes(scene), "Redis takes writes", PATIENCE_S)
    scene.farm.ready(*WORKERS, seconds=PATIENCE_S)


def _writes(scene: Scene) -> bool:
    try:
        return bool(scene.farm.server.client.set("written", "1", px=1000))
    except redis.RedisError:
        return False

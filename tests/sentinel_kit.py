"""A primary, two replicas and three Sentinels as real processes with passwords, on free ports of the loopback."""

import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import redis

from moie_worker.adapters.processes import Launch, free_port, spawn
from moie_worker.adapters.redis.connect import connect
from tests.conftest import redis_executable

NAME = "moie-test"
DOWN_AFTER_MS = 3000
REDIS = 'appendonly yes\nappendfsync always\nsave ""\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n'


class Member:
    """One server; its configuration is a file, because a Sentinel changes it, and is read by its owner alone."""

    def __init__(self, directory: Path, name: str, configuration: str, *options: str) -> None:
        self.port = free_port()
        self._where = directory / name
        self._where.mkdir()
        self._options = options
        self._file = self._where / "conf"
        self._file.touch(0o600)
        self._file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self._where}\n{configuration}")
        self.start()

    def start(self) -> None:
        """Start it on what it knew when it ended."""
        with (self._where.with_suffix(".log")).open("ab") as log:
            self.process: subprocess.Popen[bytes] = spawn(
                Launch([redis_executable(), str(self._file), *self._options]), log
            )

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()


class Group:
    """What `sentinel://` is an address of. `client` follows the primary."""

    def __init__(self, directory: Path) -> None:
        self._where = directory / "group"
        self._where.mkdir()
        self._password, self._asking = secrets.token_hex(8), secrets.token_hex(8)
        login = f"requirepass {self._password}\nmasterauth {self._password}\n{REDIS}"
        first = Member(self._where, "r0", login)
        self._servers = [first]
        self._servers += [Member(self._where, f"r{n}", f"{login}replicaof 127.0.0.1 {first.port}\n") for n in (1, 2)]
        watched = (
            f"requirepass {self._asking}\nsentinel sentinel-pass {self._asking}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2\nsentinel auth-pass {NAME} {self._password}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\nsentinel failover-timeout {NAME} 6000\n"
        )
        self._sentinels = [Member(self._where, f"s{n}", watched, "--sentinel") for n in range(3)]

    @property
    def url(self) -> str:
        """As the settings take it."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self._sentinels)
        return f"sentinel://:{self._password}@{places}/0?master={NAME}&sentinel_password={self._asking}"

    @cached_property
    def client(self) -> "redis.Redis":
        return connect(self.url, deadline=timedelta(seconds=2))

    def primary(self) -> Member:
        """Whom the Sentinels name."""
        for sentinel in self._sentinels:
            with (
                suppress(redis.ConnectionError, redis.TimeoutError),
                redis.Redis(port=sentinel.port, password=self._asking, decode_responses=True, socket_timeout=1) as one,
            ):
                _, port = one.sentinel_get_master_addr_by_name(NAME)
                return next(server for server in self._servers if server.port == int(port))
        raise AssertionError("no Sentinel answers")

    def replicas(self, member: Member) -> int:
        """How many replicas stand in line with a server; 0 too when it is none's primary or does not answer."""
        with (
            suppress(redis.ConnectionError, redis.TimeoutError),
            redis.Redis(port=member.port, password=self._password, decode_responses=True, socket_timeout=1) as one,
        ):
            info = one.info("replication")
            lines = [info.get(f"slave{number}", {}) for number in range(int(info.get("connected_slaves", 0)))]
            return sum(line.get("state") == "online" for line in lines)
        return 0

    def watched(self) -> bool:
        """Whether all Sentinels know both replicas and each other, so that a failover can come."""
        with suppress(redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            for sentinel in self._sentinels:
                with redis.Redis(port=sentinel.port, password=self._asking, socket_timeout=1) as one:
                    state = one.sentinel_master(NAME)
                    if state["num-slaves"] != 2 or state["num-other-sentinels"] != 2 or state["is_sdown"]:
                        return False
            return self.replicas(self.primary()) == 2
        return False

    def log(self) -> str:
        """What all of them said."""
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self._where.glob("*.log")))

    @contextmanager
    def frozen(self, member: Member) -> Iterator[None]:
        """It holds its connections and answers nothing."""
        member.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            member.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        for member in [*self._sentinels, *self._servers]:
            member.kill()

"""A primary, two replicas and three Sentinels as real processes with passwords, on free ports of the loopback.

All of them speak TLS where an authority is given. A server that was built without it gets a door in front of it that
does; among themselves such servers use that door without TLS.
"""

import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import redis

from moie_worker.adapters.processes import Launch, free_port, spawn
from moie_worker.adapters.redis.connect import connect
from tests.conftest import redis_executable
from tests.tls_kit import Authority, speaks_tls, tls_in_front_of

NAME = "moie-test"
DOWN_AFTER_MS = 3000
REDIS = 'appendonly yes\nappendfsync always\nsave ""\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n'


class Member:
    """One server; its configuration is a file, because a Sentinel changes it, and is read by its owner alone."""

    def __init__(
        self, directory: Path, name: str, configuration: str, *options: str, authority: Authority | None = None
    ) -> None:
        self._where = directory / name
        self._where.mkdir()
        self._options, self._door = options, ExitStack()
        self._file = self._where / "conf"
        self._file.touch(0o600)
        self.port = free_port()
        listening = self._through_tls(authority) if authority else f"port {self.port}\n"
        self._file.write_text(f"{listening}bind 127.0.0.1\ndir {self._where}\n{configuration}")
        self.start()

    def _through_tls(self, authority: Authority) -> str:
        certificate, key = authority.issue("127.0.0.1", name=self._where.name)
        if speaks_tls(redis_executable()):
            return (
                f"port 0\ntls-port {self.port}\ntls-replication yes\ntls-auth-clients no\n"
                f"tls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {authority.ca}\n"
            )
        inside = self.port
        self.port = self._door.enter_context(tls_in_front_of(inside, (certificate, key), plain=True))
        announced = "sentinel announce-port" if "--sentinel" in self._options else "replica-announce-port"
        return f"port {inside}\n{announced} {self.port}\n"

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

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._door.close()


class Group:
    """What `sentinel://` is an address of. `client` follows the primary."""

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        self._where = directory / "group"
        self._where.mkdir()
        self._tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(authority.ca)} if authority else {}
        self._password, self._asking = secrets.token_hex(8), secrets.token_hex(8)
        login = f"requirepass {self._password}\nmasterauth {self._password}\n{REDIS}"
        member = partial(Member, self._where, authority=authority)
        first = member("r0", login)
        replica = f"{login}replicaof 127.0.0.1 {first.port}\n"
        self._servers = [first, member("r1", replica), member("r2", replica)]
        watched = (
            f"requirepass {self._asking}\nsentinel sentinel-pass {self._asking}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2\nsentinel auth-pass {NAME} {self._password}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\nsentinel failover-timeout {NAME} 6000\n"
        )
        self._sentinels = [member(f"s{n}", watched, "--sentinel") for n in range(3)]

    @property
    def url(self) -> str:
        """As the settings take it."""
        tls = f"&tls=all&ssl_ca_certs={self._tls['ssl_ca_certs']}" if self._tls else ""
        return f"sentinel://:{self._password}@{self.places}/0?master={NAME}&sentinel_password={self._asking}{tls}"

    @property
    def places(self) -> str:
        """Of the Sentinels."""
        return ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self._sentinels)

    @cached_property
    def client(self) -> "redis.Redis":
        return connect(self.url, deadline=timedelta(seconds=2))

    def primary(self) -> Member:
        """Whom the Sentinels name."""
        for sentinel in self._sentinels:
            with (
                suppress(redis.ConnectionError, redis.TimeoutError),
                self._spoken_to(sentinel, self._asking) as one,
            ):
                _, port = one.sentinel_get_master_addr_by_name(NAME)
                return next(server for server in self._servers if server.port == int(port))
        raise AssertionError("no Sentinel answers")

    def replicas(self, member: Member) -> int:
        """How many replicas stand in line with a server; 0 too when it is none's primary or does not answer."""
        with (
            suppress(redis.ConnectionError, redis.TimeoutError),
            self._spoken_to(member, self._password) as one,
        ):
            info = one.info("replication")
            lines = [info.get(f"slave{number}", {}) for number in range(int(info.get("connected_slaves", 0)))]
            return sum(line.get("state") == "online" for line in lines)
        return 0

    def watched(self) -> bool:
        """Whether all Sentinels know both replicas and each other, so that a failover can come."""
        with suppress(redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            for sentinel in self._sentinels:
                with self._spoken_to(sentinel, self._asking) as one:
                    state = one.sentinel_master(NAME)
                    if state["num-slaves"] != 2 or state["num-other-sentinels"] != 2 or state["is_sdown"]:
                        return False
            return self.replicas(self.primary()) == 2
        return False

    def _spoken_to(self, member: Member, password: str) -> "redis.Redis":
        return redis.Redis("127.0.0.1", member.port, 0, password, socket_timeout=1, decode_responses=True, **self._tls)

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
            member.close()

"""A RabbitMQ of one test: a node of its own with its own data, password and names, on the loopback."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kombu.connection import Connection

from moie_worker.adapters.processes import Launch, free_port, kill_group, spawn
from tests.farm import wait_until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the one on PATH: that changes its user
INSTALL = "RabbitMQ is not here: `apt-get install rabbitmq-server`"
BOOT_S = 120
Address = tuple[str, str]  # exchange and routing key
Content = tuple[str | None, str | None]  # its type and encoding
JSON: Content = ("application/json", "utf-8")


class Rabbit:
    """`kill` and `start` are a crash and what follows; quorum queues outlive it."""

    def __init__(self, directory: Path) -> None:
        self._where = directory / "rabbit"
        self._where.mkdir()
        self._password = secrets.token_hex(8)
        self._port, self._names = free_port(), free_port()
        (self._where / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\ndefault_user = moie\ndefault_pass = {self._password}\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (self._where / "plugins").write_text("[].\n")
        self._epmd = self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._names)])
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://moie:{self._password}@127.0.0.1:{self._port}//"

    def start(self) -> None:
        """Start it on the data that are there; returns when it takes connections."""
        self._node = self._spawn([str(SERVER)])
        wait_until(self._answers, "RabbitMQ answers", BOOT_S)

    def _spawn(self, argv: list[str]) -> "subprocess.Popen[bytes]":
        where = self._where
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(where),
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"moie{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1",
            "RABBITMQ_MNESIA_BASE": str(where / "data"),
            "RABBITMQ_LOG_BASE": str(where / "log"),
            "RABBITMQ_CONFIG_FILE": str(where / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(where / "plugins"),
            "RABBITMQ_PID_FILE": str(where / "pid"),
        }
        with (where / "out.log").open("ab") as log:
            return spawn(Launch(argv, environment), log)

    def _answers(self) -> bool:
        assert self._node.poll() is None, (self._where / "out.log").read_text()[-2000:]
        try:
            with Connection(self.url, connect_timeout=2) as connection:  # type: ignore[no-untyped-call]
                connection.connect()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End the node as a crash does."""
        kill_group(self._node.pid, signal.SIGKILL)
        self._node.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and answers nothing."""
        kill_group(self._node.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            kill_group(self._node.pid, signal.SIGCONT)

    def publish(self, body: bytes, headers: dict[str, Any], where: Address, content: Content = JSON) -> None:
        """Publish a message as it is given, whatever that is."""
        (exchange, routing_key), (kind, encoding) = where, content
        with Connection(self.url) as connection:  # type: ignore[no-untyped-call]
            channel = connection.default_channel
            message = channel.prepare_message(body, None, kind, encoding, headers, {})
            channel.basic_publish(message, exchange=exchange, routing_key=routing_key)

    def declare(self, queue: str) -> None:
        """Declare a quorum queue; refused where one of that name is of another kind."""
        with Connection(self.url) as connection:  # type: ignore[no-untyped-call]
            connection.default_channel.queue_declare(
                queue, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
            )

    def close(self) -> None:
        self.kill()
        self._epmd.kill()
        self._epmd.wait()

"""A certificate authority of a test, and TLS in front of a Redis that has none."""

import contextlib
import functools
import selectors
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

VALID = timedelta(days=1)
PIECE = 65_536
HANDSHAKE = b"\x16"  # the first byte of a connection through TLS, and of no command of Redis


class Authority:
    """Signs certificates; `ca` is the file by which it is trusted."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.ca = folder / f"{name}.ca.pem"
        self.ca.write_bytes(self._made.public_bytes(Encoding.PEM))

    def issue(self, host: str, *, name: str = "server") -> tuple[Path, Path]:
        """A certificate for a host name or address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._certificate(subject, key, x509.SubjectAlternativeName([alternative]))
        certificate, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(Encoding.PEM))
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, secret

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID)
            .not_valid_after(now + VALID)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


@contextmanager
def tls_in_front_of(
    target: Path | int,
    certificate: tuple[Path, Path],
    clients_of: Path | None = None,
    *,
    plain: bool = False,
) -> Iterator[int]:
    """Take TLS on a port of the loopback and pass it on to a socket or a port.

    `clients_of` is a CA whose certificate each client shows. `plain`: who begins without TLS is passed on as well.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    if clients_of is not None:
        context.load_verify_locations(clients_of)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:
        door = Door(target, context, plain=plain)
        thread = threading.Thread(target=door.accept, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


class Door:
    """Passes on what comes to a port, and the answers."""

    def __init__(self, target: Path | int, context: ssl.SSLContext, *, plain: bool) -> None:
        self._target, self._context, self._plain = target, context, plain

    def accept(self, server: socket.socket) -> None:
        """Until the server is shut down."""
        with contextlib.suppress(OSError):  # the test is over
            while True:
                accepted, _ = server.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), accepted, self._opened(accepted) as client, self._redis() as redis:
            _pass_on(client, redis)

    def _opened(self, accepted: socket.socket) -> socket.socket:
        if self._plain and accepted.recv(1, socket.MSG_PEEK) != HANDSHAKE:
            return accepted
        return self._context.wrap_socket(accepted, server_side=True)

    def _redis(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        redis = socket.socket(socket.AF_UNIX)
        redis.connect(str(self._target))
        return redis


def _pass_on(client: socket.socket, redis: socket.socket) -> None:
    """Both ways until one side ends, by one thread: OpenSSL lets no two use a connection at a time."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, (client, redis))
        selector.register(redis, selectors.EVENT_READ, (redis, client))
        while True:
            for key, _ in selector.select():
                source, target = key.data
                for piece in _pieces(source):
                    if not piece:
                        return
                    target.sendall(piece)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    """All that has come; of one record of TLS more may be there than was asked for, and no selector sees it."""
    yield source.recv(PIECE)
    while isinstance(source, ssl.SSLSocket) and source.pending():
        yield source.recv(PIECE)


@functools.cache
def speaks_tls(server: str) -> bool:
    """Whether a Redis was built with TLS: one without it stops at the first of two wrong lines."""
    told = subprocess.run(
        [server, "-"], input="tls-port 0\nno-such-line\n", capture_output=True, text=True, check=False
    )
    return "no-such-line" in told.stdout + told.stderr

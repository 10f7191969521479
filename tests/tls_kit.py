"""A certificate authority of a test, and TLS in front of a Redis that has none."""

import contextlib
import socket
import ssl
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
    redis_socket: Path, certificate: tuple[Path, Path], clients_of: Path | None = None
) -> Iterator[int]:
    """Take TLS on a port of the loopback and pass it on; `clients_of` is a CA whose certificate each client shows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    if clients_of is not None:
        context.load_verify_locations(clients_of)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, context, redis_socket), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _accept(server: socket.socket, context: ssl.SSLContext, redis_socket: Path) -> None:
    with contextlib.suppress(OSError):  # the test is over
        while True:
            accepted, _ = server.accept()
            threading.Thread(target=_serve, args=(accepted, context, redis_socket), daemon=True).start()


def _serve(accepted: socket.socket, context: ssl.SSLContext, redis_socket: Path) -> None:
    with (
        contextlib.suppress(OSError),
        accepted,
        context.wrap_socket(accepted, server_side=True) as client,
        socket.socket(socket.AF_UNIX) as redis,
    ):
        redis.connect(str(redis_socket))
        answers = threading.Thread(target=_pass_on, args=(redis, client), daemon=True)
        answers.start()
        _pass_on(client, redis)
        redis.shutdown(socket.SHUT_RDWR)
        answers.join(5)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)

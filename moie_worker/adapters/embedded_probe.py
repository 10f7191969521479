"""One question to a Redis that may just be starting: `INFO`, which answers while the data are still being read.

The client library lives in the Redis adapter and retries; here a refusal is the answer, and it has to come at once.
"""

import socket
from urllib.parse import unquote, urlsplit

PATIENCE_S = 0.5


def info(url: str) -> dict[str, str]:
    """The fields of INFO; empty when nobody answers or the password is not ours. `url` as `embedded` writes it."""
    parts = urlsplit(url)
    try:
        with _connect(parts.scheme, unquote(parts.path), parts.port) as connection, connection.makefile("rb") as reply:
            connection.sendall(f"AUTH {parts.password}\r\nINFO\r\n".encode())
            if not reply.readline().startswith(b"+OK"):
                return {}
            size = reply.readline()
            text = reply.read(int(size[1:])) if size.startswith(b"$") else b""
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _connect(scheme: str, path: str, port: int | None) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection(("127.0.0.1", port or 0), timeout=PATIENCE_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection

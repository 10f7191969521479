"""A sign of life to an address outside, the end of the chain: who watches there misses it when anything fails.

The standard library alone does it, so that it needs no extra. The answer may be hostile or broken: its head is all that
is read, no redirect is followed, every address of the host is checked and the one that was checked is the one asked.
"""

import http.client
import logging
import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from moie_worker.addresses import is_loopback_name
from moie_worker.errors import MoieError
from moie_worker.plan.chain import Pulse, Station
from moie_worker.ports import Chain

LIMIT = timedelta(seconds=5)  # for everything behind the name look-up, which the system bounds
JITTER_S = 10.0  # after a failure others try again too: not all at the same moment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and what is allowed."""

    url: str  # holds a secret, as a rule: never shown whole
    method: str = "POST"
    private: bool = False  # whether the host may have a private address
    limit: timedelta = LIMIT

    @property
    def place(self) -> str:
        """The host, for people."""
        return urlsplit(self.url).hostname or ""


def send(target: Target, text: str) -> None:
    """Ask once. Raises MoieError saying why nobody has heard it."""
    parts = urlsplit(target.url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    address = _checked(target, port)
    connection = _Pinned(target.place, port, address, target.limit.total_seconds(), secure=secure)
    alarm = threading.Timer(target.limit.total_seconds(), connection.abort)
    alarm.daemon = True
    alarm.start()
    try:
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        body = text.encode() if target.method == "POST" else None
        connection.request(target.method, path, body, {"User-Agent": "moie-worker", "Connection": "close"})
        status = connection.getresponse().status
        if connection.aborted:  # what came until then looks like an answer
            raise TimeoutError
    except (OSError, http.client.HTTPException) as error:
        late = connection.aborted or isinstance(error, TimeoutError)
        why = f"no answer within {target.limit.total_seconds():g} s" if late else f"{type(error).__name__}: {error}"
        raise MoieError(f"{target.place}: {why}") from error
    finally:
        alarm.cancel()
        connection.close()
    if not 200 <= status <= 299:
        redirects = ", and redirects are not followed" if 300 <= status <= 399 else ""
        raise MoieError(f"{target.place}: it answers {status}{redirects}")


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was checked, whatever the name means a moment later."""

    def __init__(self, host: str, port: int, address: str, limit_s: float, *, secure: bool) -> None:
        super().__init__(host, port, timeout=limit_s)
        self._address, self._secure = address, secure
        self._raw: socket.socket | None = None
        self.aborted = False

    def connect(self) -> None:
        """As the class above does it, to that address."""
        self._raw = self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self._raw, server_hostname=self.host)

    def abort(self) -> None:
        """End whatever waits for the other side: it may send a byte now and then for ever."""
        self.aborted = True
        for each in (self.sock, self._raw):
            try:
                if each is not None:
                    each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is gone, or the other one is the one that is connected


def _checked(target: Target, port: int) -> str:
    """The first address of the host. Raises MoieError where one of them is not allowed, or where there is none."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(target.place, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise MoieError(f"{target.place}: no such host: {error}") from error
    for address in found:
        if not target.private and not _public(address) and not _loopback(target.place, address):
            raise MoieError(f"{target.place} has the private address {address}: MOIE_PING_PRIVATE=true would allow it")
    return found[0]


def _public(address: str) -> bool:
    ip = _ip(address)
    return ip.is_global and not ip.is_multicast


def _loopback(host: str, address: str) -> bool:
    """Only what is named so: another name that leads here is somebody's trick or somebody's mistake."""
    return is_loopback_name(host) and _ip(address).is_loopback


def _ip(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


class Pinger:
    """Sends pings beside the heartbeats of a process, one at a time, and writes down what became of each."""

    def __init__(self, target: Target, chain: Chain, pause: Callable[[float], None] | None = None) -> None:
        self._target = target
        self._chain = chain
        self._pause = pause or _wait
        self._busy = threading.Lock()
        self._failed = False

    def ping(self, pulse: Pulse) -> bool:
        """Begin, and return at once; False when the one before is still under way, which then counts for this one."""
        if not self._busy.acquire(blocking=False):
            return False
        threading.Thread(target=self._run, args=(pulse,), name="moie-ping", daemon=True).start()
        return True

    def _run(self, pulse: Pulse) -> None:
        try:
            if self._failed:
                self._pause(JITTER_S * secrets.SystemRandom().random())
            self._tell(pulse)
        except MoieError as error:
            log.warning("%s is not traced: %s", pulse.id, error)
        finally:
            self._busy.release()

    def _tell(self, pulse: Pulse) -> None:
        try:
            send(self._target, pulse.id)
        except MoieError as error:
            self._failed = True
            log.warning("nobody outside hears of %s: %s", pulse.id, error)
            self._chain.mark(Station.UNANSWERED, pulse, str(error))
        else:
            self._failed = False
            self._chain.mark(Station.ANSWERED, pulse)


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)

"""One HTTP exchange with a total time limit, a bounded answer and an ear for a stop.

The only module that knows the HTTP library, and it imports it only when an exchange is made: it is an extra.
"""

import asyncio
import os
import socket
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moie_worker.plan.texts import one_line
from moie_worker.ports import Clock, Stop

if TYPE_CHECKING:
    import httpx

BODY_LIMIT = 64 * 1024


class WebError(Exception):
    """The exchange came to nothing; the text says why."""


class BadRequestError(WebError):
    """The request itself cannot be made: address, method or headers are wrong."""


class TimeUpError(WebError):
    """The time limit came first."""


class StoppedError(WebError):
    """A stop came first."""


class ExtraMissingError(WebError):
    """The HTTP library is not installed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for. `limit_s` covers everything, from the name look-up to the last byte that is kept."""

    url: str
    limit_s: float
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    follow: bool = False  # redirects
    verify: bool = True  # TLS certificates
    body_limit: int = BODY_LIMIT


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes  # decoded, at most `body_limit`
    truncated: bool  # there was more
    took_s: float
    address: str  # after redirects


def exchange(request: Request, stop: Stop, clock: Clock) -> Reply:
    """Ask and read the answer; raises one of the errors above."""
    try:
        import httpx
    except ImportError as error:
        raise ExtraMissingError('needs the HTTP extra: pip install "moie-worker[http]"') from error
    place = shown(request.url)
    try:
        return _run(request, stop, clock)
    except TimeoutError as error:
        raise TimeUpError(f"{place}: no complete answer within {request.limit_s:.3g} s") from error
    except asyncio.CancelledError as error:
        raise StoppedError(f"{place}: stopped: {stop.reason}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, ValueError) as error:
        raise BadRequestError(f"{place}: cannot be asked: {one_line(str(error), 300)}") from error
    except (httpx.HTTPError, OSError) as error:
        raise WebError(f"{place}: {_reason(error)}") from error


def shown(url: str) -> str:
    """An address without what may be secret: no user, no password, no query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the address"
    return one_line(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}", 300)


def _run(request: Request, stop: Stop, clock: Clock) -> Reply:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_watched(request, stop, clock))
    finally:
        # Not asyncio.run: that would wait for a name look-up which the time limit has given up.
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _watched(request: Request, stop: Stop, clock: Clock) -> Reply:
    loop, asking, watched = asyncio.get_running_loop(), asyncio.current_task(), stop.fileno()
    if watched >= 0 and asking is not None:
        loop.add_reader(watched, asking.cancel)
    try:
        async with asyncio.timeout(max(request.limit_s, 0.001)):
            return await _ask(request, clock)
    finally:
        if watched >= 0:
            loop.remove_reader(watched)


async def _ask(request: Request, clock: Clock) -> Reply:
    import httpx

    started = clock.monotonic()
    headers = {"accept-encoding": "identity", **{name.lower(): value for name, value in request.headers.items()}}
    async with (
        httpx.AsyncClient(verify=_trust(request.verify), follow_redirects=request.follow, timeout=None) as client,  # noqa: S113
        client.stream(request.method, request.url, headers=headers, content=request.body) as response,
    ):
        raw, truncated = await _read(response, request.body_limit)
        body, more = _decoded(raw, response.headers.get("content-encoding", ""), request.body_limit)
        took = clock.monotonic() - started
        return Reply(
            response.status_code, dict(response.headers), body, truncated or more, took, shown(str(response.url))
        )


@cache
def _trust(verify: bool) -> ssl.SSLContext:
    """Whom to trust. To read the certificates takes longer than most exchanges, so a process does it once."""
    import httpx

    return httpx.create_ssl_context(verify=verify)


async def _read(response: "httpx.Response", limit: int) -> tuple[bytes, bool]:
    """The first bytes as they came over the wire: decoding comes after the bound, so that no small body explodes."""
    kept = bytearray()
    async for chunk in response.aiter_raw():
        kept += chunk
        if len(kept) > limit:
            return bytes(kept[:limit]), True
    return bytes(kept), False


def _decoded(raw: bytes, encoding: str, limit: int) -> tuple[bytes, bool]:
    """Some servers compress although they were asked not to."""
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        return raw, False
    unpacker: Any = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
    try:
        body = unpacker.decompress(raw, limit)
    except zlib.error as error:
        raise WebError(f"the answer says {one_line(encoding)} and is not") from error
    return body, bool(unpacker.unconsumed_tail)


def _reason(error: Exception) -> str:
    """The innermost words: `All connection attempts failed` says less than `Connection refused`."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    words = one_line(str(cause) or str(error), 300) or type(cause).__name__
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError | socket.gaierror) and cause.errno:
        words = os.strerror(cause.errno)  # theirs are no numbers of the system
    kind = "cannot connect" if type(error).__name__ == "ConnectError" else "the exchange broke off"
    return f"{kind}: {words}"

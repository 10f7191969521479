"""The action `http`: one request, and what is expected of its answer."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StringConstraints

from moie_worker.actions.params import BadParamsError, Params, parse, problems
from moie_worker.actions.web import (
    BadRequestError,
    ExtraMissingError,
    Reply,
    Request,
    StoppedError,
    TimeUpError,
    WebError,
    exchange,
    shown,
)
from moie_worker.plan.duration import PositiveDuration, format_duration
from moie_worker.plan.states import Outcome
from moie_worker.plan.texts import one_line, printable
from moie_worker.ports import ActionContext, Evidence

EXCERPT = 4096
OUTCOMES: dict[type[WebError], Outcome] = {
    BadRequestError: Outcome.BROKEN,
    ExtraMissingError: Outcome.BROKEN,
    TimeUpError: Outcome.TIMED_OUT,
    StoppedError: Outcome.CANCELLED,
}


def outcome_of(error: WebError) -> Outcome:
    """How an attempt ends whose exchange came to nothing."""
    return OUTCOMES.get(type(error), Outcome.FAILED)


def web_address(url: str) -> str:
    """An absolute http or https address; ValueError otherwise."""
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from error
    if not complete or re.search(r"[\s\x00-\x1f]", url):
        raise ValueError("is not an address such as http://host:8080/path or https://host/path")
    return url


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return text


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise ValueError("is not the name of a header")
    return text


def _header_value(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e\t]*", text):
        raise ValueError("holds characters that a header cannot: use printable ASCII on one line")
    return text


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


WebAddress = Annotated[str, Field(strict=True, max_length=8000), AfterValidator(web_address)]
HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_header_name)]
HeaderValue = Annotated[str, Field(strict=True), AfterValidator(_header_value)]
Status = Annotated[int, Field(ge=100, le=599, strict=True)]
Words = Annotated[str, StringConstraints(min_length=1, strict=True)]


class Expect(Params):
    """What makes the answer a good one; all of it must hold."""

    status: Annotated[list[Status], BeforeValidator(_listed), Field(min_length=1)] | None = None  # None: 200 to 299
    contains: Annotated[list[Words], BeforeValidator(_listed)] = Field(default_factory=list)
    regex: Annotated[str, Field(strict=True), AfterValidator(_pattern)] | None = None
    json_part: Annotated[JsonValue, Field(alias="json")] = None  # None: not asked for
    latency_below: PositiveDuration | None = None


class HttpParams(Params):
    """The request and the expectation."""

    url: WebAddress
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "GET"
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: JsonValue = None  # a text as it is, anything else as JSON
    expect: Expect = Expect()
    follow: Annotated[bool, Field(strict=True)] = False
    verify: Annotated[bool, Field(strict=True)] = True


class HttpAction:
    """Passed when the answer is as expected; failed when it is not or when there is none."""

    def check(self, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Problems of `with`."""
        yield from problems(HttpParams, params)

    def run(self, context: ActionContext) -> Evidence:
        """Ask once; retries are the job's."""
        started = context.clock.monotonic()
        try:
            params = parse(HttpParams, context.params)
            reply = exchange(_request(params, context.command.timeout), context.stop, context.clock)
        except BadParamsError as error:
            return Evidence(Outcome.BROKEN, f"http: {error}")
        except WebError as error:
            took = context.clock.monotonic() - started
            return Evidence(outcome_of(error), str(error), duration_s=took)
        return _judged(params, reply)


def _request(params: HttpParams, limit: timedelta) -> Request:
    headers = {name.lower(): value for name, value in params.headers.items()}
    body: bytes | None = None
    if isinstance(params.body, str):
        body = params.body.encode()
    elif params.body is not None:
        body = json.dumps(params.body).encode()
        headers.setdefault("content-type", "application/json")
    return Request(
        url=params.url,
        limit_s=limit.total_seconds(),
        method=params.method,
        headers=headers,
        body=body,
        follow=params.follow,
        verify=params.verify,
    )


def _judged(params: HttpParams, reply: Reply) -> Evidence:
    wrong = list(_disappointments(params.expect, reply))
    verdict = "; ".join(wrong) if wrong else f"status {reply.status} in {reply.took_s * 1000:.0f} ms"
    return Evidence(
        outcome=Outcome.FAILED if wrong else Outcome.PASSED,
        message=one_line(f"{params.method} {shown(params.url)}: {verdict}", 1000),
        head=printable(reply.body[:EXCERPT].decode("utf-8", "replace")),
        output_bytes=len(reply.body),
        sha256=sha256(reply.body).hexdigest(),
        duration_s=reply.took_s,
        detail={
            "status": reply.status,
            "latency_ms": round(reply.took_s * 1000, 1),
            "address": reply.address,
            "truncated": reply.truncated,
        },
    )


def _disappointments(expect: Expect, reply: Reply) -> Iterator[str]:
    if expect.status is None and not 200 <= reply.status <= 299:
        yield f"status {reply.status}, expected 200 to 299"
    if expect.status is not None and reply.status not in expect.status:
        yield f"status {reply.status}, expected {' or '.join(map(str, expect.status))}"
    if expect.latency_below is not None and reply.took_s >= expect.latency_below.total_seconds():
        yield f"took {reply.took_s * 1000:.0f} ms, expected less than {format_duration(expect.latency_below)}"
    text = reply.body.decode("utf-8", "replace")
    where = f"the first {len(reply.body)} bytes of the body" if reply.truncated else "the body"
    for words in expect.contains:
        if words not in text:
            yield f'"{one_line(words, 80)}" is not in {where}'
    if expect.regex is not None and not re.search(expect.regex, text):
        yield f"nothing in {where} matches {one_line(expect.regex, 80)}"
    if expect.json_part is not None:
        yield from _json_disappointments(expect.json_part, text, reply.truncated)


def _json_disappointments(wanted: JsonValue, text: str, truncated: bool) -> Iterator[str]:
    if truncated:
        yield f"the body is longer than {len(text.encode())} bytes, too long to be read as JSON"
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        yield "the body is not JSON"
        return
    yield from missing_parts(wanted, found, "$")


def missing_parts(wanted: JsonValue, found: Any, path: str) -> Iterator[str]:
    """Where `found` does not hold `wanted`: objects may have more fields, everything else must be equal."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{path} is not an object"
            return
        for name, value in wanted.items():
            if name in found:
                yield from missing_parts(value, found[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is missing"
    elif wanted != found or isinstance(wanted, bool) is not isinstance(found, bool):
        yield f"{path} is {one_line(json.dumps(found), 80)}, expected {one_line(json.dumps(wanted), 80)}"

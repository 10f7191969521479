"""Complaints about an action's parameters name the place and the way out."""

from typing import Any

import pytest

from moie_worker.actions.arxiv_scan import ArxivScanAction
from moie_worker.actions.http import HttpAction
from moie_worker.actions.shell import ShellAction
from moie_worker.ports import Action

URL = "https://example.org/health"
GOOD: list[tuple[Action, dict[str, Any]]] = [
    (ShellAction(), {"cmd": "true"}),
    (ShellAction(), {"cmd": ["echo", "a b", ""]}),
    (HttpAction(), {"url": URL}),
    (HttpAction(), {"url": "http://[::1]:8080/", "method": "post", "body": {"a": [1, None]}, "headers": {"X-Y": "z"}}),
    (HttpAction(), {"url": URL, "expect": {"status": 204, "contains": "ok", "json": {"a": 1}, "latency_below": "2s"}}),
    (HttpAction(), {"url": URL, "expect": {"status": [200, 301], "regex": "^o.?k$"}, "follow": True, "verify": False}),
    (ArxivScanAction(), {"query": "cat:gr-qc OR cat:quant-ph", "max_results": 100}),
    (ArxivScanAction(), {"query": "x", "keywords": {"time reversal": 3, "review": -0.5}, "sort": "submittedDate"}),
]
BAD: list[tuple[Action, dict[str, Any], str, str]] = [
    (ShellAction(), {}, "cmd", "required"),
    (ShellAction(), {"cmd": 5}, "cmd", "needs a command"),
    (ShellAction(), {"cmd": []}, "cmd", "needs a command"),
    (ShellAction(), {"cmd": "  "}, "cmd", "needs a command"),
    (ShellAction(), {"cmd": "a\0b"}, "cmd", "NUL"),
    (ShellAction(), {"cmd": ["a", 1]}, "cmd", "needs a command"),
    (ShellAction(), {"cmd": "true", "cwdd": "/"}, "cwdd", "unknown field; known are cmd"),
    (HttpAction(), {}, "url", "required"),
    (HttpAction(), {"url": "example.org"}, "url", "http://host:8080/path"),
    (HttpAction(), {"url": "file:///etc/passwd"}, "url", "is not an address"),
    (HttpAction(), {"url": "http://"}, "url", "is not an address"),
    (HttpAction(), {"url": "http://a:99999/"}, "url", "is not an address"),
    (HttpAction(), {"url": "http://a b/"}, "url", "is not an address"),
    (HttpAction(), {"url": URL, "method": "BREW"}, "method", "GET"),
    (HttpAction(), {"url": URL, "headers": {"a b": "c"}}, "headers.a b", "not the name of a header"),
    (HttpAction(), {"url": URL, "headers": {"a": "b\r\nc: d"}}, "headers.a", "printable ASCII"),
    (HttpAction(), {"url": URL, "exspect": {}}, "exspect", 'did you mean "expect"?'),
    (HttpAction(), {"url": URL, "expect": {"stauts": 200}}, "expect.stauts", 'did you mean "status"?'),
    (HttpAction(), {"url": URL, "expect": {"status": 99}}, "expect.status[0]", "100"),
    (HttpAction(), {"url": URL, "expect": {"status": []}}, "expect.status", "at least 1"),
    (HttpAction(), {"url": URL, "expect": {"regex": "("}}, "expect.regex", "is not a regular expression"),
    (HttpAction(), {"url": URL, "expect": {"latency_below": "soon"}}, "expect.latency_below", "duration"),
    (HttpAction(), {"url": URL, "follow": "yes"}, "follow", "boolean"),
    (ArxivScanAction(), {"query": ""}, "query", "is empty"),
    (ArxivScanAction(), {"query": "x", "max_results": 0}, "max_results", "greater than or equal to 1"),
    (ArxivScanAction(), {"query": "x", "page_size": 2001}, "page_size", "less than or equal to 2000"),
    (ArxivScanAction(), {"query": "x", "address": "arxiv.org"}, "address", "is not an address"),
    (ArxivScanAction(), {"query": "x", "keywords": {"!": 1}}, "keywords.!", "without a letter"),
    (ArxivScanAction(), {"query": "x", "keywords": {"a": float("inf")}}, "keywords.a", "not a weight"),
    (ArxivScanAction(), {"query": "x", "keyword": {"a": 1}}, "keyword", 'did you mean "keywords"?'),
    (ArxivScanAction(), {"query": "x", "sort": "relevance"}, "sort", "submittedDate"),
]


@pytest.mark.parametrize(("action", "params"), GOOD)
def test_good_parameters_have_no_problems(action: Action, params: dict[str, Any]) -> None:
    assert list(action.check(params)) == []


@pytest.mark.parametrize(("action", "params", "path", "told"), BAD)
def test_bad_parameters_are_named_with_their_place(
    action: Action, params: dict[str, Any], path: str, told: str
) -> None:
    found = list(action.check(params))
    assert path in [place for place, _ in found]
    assert told in " ".join(message for place, message in found if place == path)


def test_several_problems_are_told_at_once() -> None:
    assert len(list(HttpAction().check({"url": "x", "method": "BREW", "follow": 3}))) == 3

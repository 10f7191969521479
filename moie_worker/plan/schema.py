"""The reference of the plan document, made from the models: a JSON Schema for editors, a page for people.

`python -m moie_worker.plan.schema docs/reference` writes both.
"""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from moie_worker.plan.documents import MAX_BYTES, MAX_DEPTH, MAX_JOBS, MIB
from moie_worker.plan.duration import DURATION_SCHEMA, format_duration
from moie_worker.plan.evidence import EvidenceFiles, ExpectFail
from moie_worker.plan.model import ActionSpec, Job, Kept, Meta, Phase, Plan, Reserved, Retry, Schedule
from moie_worker.plan.terms import ApprovalTerms

PARTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The document", Plan),
    ("meta", Meta),
    ("phases[]", Phase),
    ("approval", ApprovalTerms),
    ("phases[].jobs[]", Job),
    ("action", ActionSpec),
    ("schedule", Schedule),
    ("retry", Retry),
    ("evidence", EvidenceFiles),
    ("expect_fail", ExpectFail),
    ("reserved[]", Reserved),
    ("kept", Kept),
)
KINDS = {
    "string": "text",
    "integer": "whole number",
    "object": "mapping",
    "number": "number",
    "boolean": "true or false",
}
INTRODUCTION = f"""# The plan document

A plan is YAML or JSON: phases of jobs, each with a command that proves it done. This page and
[plan.schema.json](plan.schema.json) are made from the code; a test fails when they are stale.

Limits: {MAX_BYTES // MIB} MiB a document, {MAX_JOBS:,} jobs, {MAX_DEPTH} levels of nesting. Fields that are not named
here are refused. Durations are written `30s`, `10m`, `1h30m`, `250ms`, `2d`, or as a number of seconds. Times are
ISO 8601; one without a time zone is taken as UTC. What looks like a number, `true`, `false` or `null` is one unless it
is quoted: quote ids.

Documents of version 1 and 2 are recognised by their content and read as well; see `kept`.
"""


class _Generator(GenerateJsonSchema):
    """The usual schema without the titles that repeat the names, and with durations as plans write them."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def schema() -> dict[str, Any]:
    """The JSON Schema of version 3."""
    body: dict[str, Any] = _shared(Plan.model_json_schema(schema_generator=_Generator))
    body["$defs"] = dict(sorted({**body["$defs"], "Duration": DURATION_SCHEMA}.items()))
    body["required"] = ["version", *body["required"]]
    return {"$schema": _Generator.schema_dialect} | body | {"title": "The plan document of moie-worker, version 3"}


def _shared(node: Any) -> Any:
    """The schema of a duration stands in many places: refer to one."""
    if isinstance(node, list):
        return [_shared(one) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("anyOf") == DURATION_SCHEMA["anyOf"]:
        rest = {key: value for key, value in node.items() if key != "anyOf" and value != DURATION_SCHEMA["description"]}
        return {"$ref": "#/$defs/Duration"} | rest
    return {key: _shared(value) for key, value in node.items()}


def schema_text() -> str:
    """The file for editors."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def reference_text() -> str:
    """The page for people."""
    return INTRODUCTION + "".join(_section(title, model) for title, model in PARTS)


def _section(title: str, model: type[BaseModel]) -> str:
    rows = "\n".join(_rows(model))
    summary = " ".join((model.__doc__ or "").split())
    return f"\n## {title}\n\n{summary}\n\n| field | kind | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _rows(model: type[BaseModel]) -> Iterator[str]:
    definitions = schema()["$defs"]
    properties = schema()["properties"] if model is Plan else definitions[model.__name__]["properties"]
    for name, info in model.model_fields.items():
        entry = properties[info.alias or name]
        needed = info.is_required() or name == "version"
        default = "required" if needed else _default(entry)
        yield f"| `{info.alias or name}` | {_kind(entry, definitions)} | {default} | {info.description} |"


def _default(entry: dict[str, Any]) -> str:
    value = entry.get("default")
    return "" if value in (None, "", [], {}) or isinstance(value, dict) else f"`{value}`"


def _kind(entry: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in entry:
        name = entry["$ref"].rsplit("/", 1)[1]
        return {"Duration": "duration"}.get(name) or _kind(definitions[name], definitions)
    if alternatives := entry.get("anyOf") or entry.get("oneOf", []) * ("properties" not in entry):
        kinds = (_kind(one, definitions) for one in alternatives if one.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if entry.get("type") == "array":
        return f"list of {_kind(entry['items'], definitions)}"
    return "time" if entry.get("format") == "date-time" else KINDS.get(entry.get("type", ""), "any value")


def main(directory: str) -> None:
    """Write both files."""
    target = Path(directory)
    (target / "plan.schema.json").write_text(schema_text(), encoding="utf-8")
    (target / "plan.md").write_text(reference_text(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The page docs/reference/settings.md, made from the settings."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moie_worker.plan.duration import format_duration
from moie_worker.settings import PREFIX, Settings


def reference() -> str:
    """The whole page."""
    rows = [_row(name) for name in Settings.model_fields]
    return "\n".join([*_REFERENCE_HEAD, *rows, ""])


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    extra: Mapping[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = extra.get("shown_default") or _default(field.default)
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |"


def _default(value: object) -> str:
    if value is None:
        return "–"
    return format_duration(value) if isinstance(value, timedelta) else f"`{value}`"


_REFERENCE_HEAD = (
    "# Settings",
    "",
    "Read from the environment, once, when a process starts. A wrong value ends the process with exit code 2 and",
    "one line for each; a `MOIE_*` variable that is not listed here is warned of and ignored. An empty value counts",
    "as not set.",
    "Durations are seconds or a text such as `30s`, `10m`, `1h30m`.",
    "",
    "| variable | default | meaning |",
    "|---|---|---|",
)

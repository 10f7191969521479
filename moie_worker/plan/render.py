"""Documents as text: YAML that every reader reads alike, or JSON."""

import json
from typing import Any

import yaml

from moie_worker.plan.yaml_reader import plain


class _Dumper(yaml.SafeDumper):
    """Without aliases, and with quotes around every text that some reader takes for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text.strip("\n") else None if _is_plain(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_plain(text: str) -> bool:
    try:
        return plain(text) == text
    except ValueError:
        return False


_Dumper.add_representer(str, _text)


def render(document: Any, name: str) -> str:
    """The text of a document for a file of that name: YAML for `.yaml` and `.yml`, else JSON."""
    if name.endswith((".yaml", ".yml")):
        return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

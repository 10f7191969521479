"""The reference of the plan is that of the code."""

import json
from pathlib import Path

import pytest

from moie_worker.plan.model import Job, Plan
from moie_worker.plan.schema import main, reference_text, schema

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", ["plan.schema.json", "plan.md"])
def test_the_reference_is_not_stale(name: str, tmp_path: Path) -> None:
    main(str(tmp_path))
    made, kept = (tmp_path / name).read_text(), (REFERENCE / name).read_text()
    assert made == kept, "stale: run `python -m moie_worker.plan.schema docs/reference`"


def test_the_schema_names_every_field_and_refuses_others() -> None:
    described = schema()
    job = described["$defs"]["Job"]
    assert set(described["properties"]) == set(Plan.model_fields)
    assert set(job["properties"]) == set(Job.model_fields)
    assert job["additionalProperties"] is described["additionalProperties"] is False
    assert described["required"] == ["version", "phases"]
    assert job["required"] == ["id", "task"]


def test_the_schema_says_defaults_and_durations_as_plans_write_them() -> None:
    properties = schema()["$defs"]["Job"]["properties"]
    assert properties["timeout"]["default"] == "1m"
    assert properties["timeout"]["$ref"] == "#/$defs/Duration"
    assert properties["catch_up"]["default"] == "once"
    assert "PT" not in json.dumps(schema())


def test_the_page_describes_every_field() -> None:
    text = reference_text()
    for name, info in Job.model_fields.items():
        assert f"| `{name}` |" in text
        assert info.description

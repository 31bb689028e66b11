"""Pages that are generated from the models are what the models say now."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from loadfleet_agent.contract.export import schema_texts
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_aggregator.report.schema import schema_texts as report_schema_texts
from loadfleet_aggregator.settings_reference import settings_text

DOCS = Path(__file__).parents[3] / "docs"
CURRENT = "run: make reference"


def test_the_settings_page_is_current() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_text(), CURRENT


def test_every_model_has_its_schema_and_no_other_stands_there() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "schemas").iterdir()}
    assert files == schema_texts() | report_schema_texts(), CURRENT


def test_a_plan_obeys_its_exported_schema() -> None:
    schema = json.loads((DOCS / "schemas" / "RunPlan.json").read_text(encoding="utf-8"))
    settings = parse_settings(
        {"profile": "cpu-smoke", "model": {"source": "tiny"}, "dataset": {"source": "synthetic"}}
    )
    plan = resolve_plan(settings, run_id="r", host="h").model_dump(mode="json")
    jsonschema.validate(plan, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plan | {"surprise": 1}, schema)


def test_every_setting_is_described() -> None:
    empty = [line for line in settings_text().splitlines() if line.endswith("|  |")]
    assert empty == []

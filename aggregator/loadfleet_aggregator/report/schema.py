"""Writes the JSON Schema of report.json: python -m loadfleet_aggregator.report.schema FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .model import FleetReport

SCHEMA_FILE = "FleetReport.json"


def schema_text() -> str:
    """The schema, as of the agent's own models."""
    return json.dumps(FleetReport.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    (Path(sys.argv[1]) / SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

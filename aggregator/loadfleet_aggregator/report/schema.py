"""Writes the JSON Schemas of report.json and mmlu_report.json.

python -m loadfleet_aggregator.report.schema FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from ..evaluation.model import EvaluationReport
from .model import FleetReport

MODELS: tuple[type[BaseModel], ...] = (FleetReport, EvaluationReport)


def schema_texts() -> dict[str, str]:
    """File name to the schema, as of the agent's own models."""
    return {
        f"{model.__name__}.json": json.dumps(
            model.model_json_schema(), indent=2, ensure_ascii=False
        )
        + "\n"
        for model in MODELS
    }


def main() -> None:
    for name, text in schema_texts().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

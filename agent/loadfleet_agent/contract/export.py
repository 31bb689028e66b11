"""Writes the contract's JSON Schemas: python -m loadfleet_agent.contract.export FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .base import Frozen
from .estimate import RunEstimate
from .evaluation import EvaluationResult
from .host import HostFacts
from .plan import RunPlan
from .profile import Profile
from .result import HostResult, Manifest, PhaseResult, RateResult
from .settings import HostSettings
from .start import StartSignal
from .status import Event, Status

EXPORTED: tuple[type[Frozen], ...] = (
    RunPlan,
    Status,
    StartSignal,
    Event,
    HostFacts,
    PhaseResult,
    RateResult,
    EvaluationResult,
    HostResult,
    Manifest,
    HostSettings,
    Profile,
    RunEstimate,
)


def schema_texts() -> dict[str, str]:
    """File name to JSON Schema of each exported model."""
    return {
        f"{model.__name__}.json": json.dumps(
            model.model_json_schema(), indent=2, ensure_ascii=False
        )
        + "\n"
        for model in EXPORTED
    }


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

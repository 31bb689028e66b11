"""Starts the helper programs of these tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.plan import RunPlan

HERE = Path(__file__).parent
MODES = {Mode.PERFORMANCE: "PerformanceOnly", Mode.ACCURACY: "AccuracyOnly"}


def _run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout


def run_phase_apart(
    plan: RunPlan,
    behaviour: str,
    scenario: Scenario,
    mode: Mode,
    folder: Path,
    fields: dict[str, int] | None = None,
) -> dict[str, Any]:
    """The outcome of our phase over a scripted engine."""
    plan_path = folder.with_suffix(".plan.json")
    plan_path.write_text(plan.model_dump_json())
    more = [json.dumps(fields)] if fields else []
    text = _run("phase_process.py", str(plan_path), behaviour, scenario, mode, str(folder), *more)
    outcome: dict[str, Any] = json.loads(text.splitlines()[-1])
    return outcome


def run_directly(
    conf: Path,
    scenario: Scenario,
    mode: Mode,
    samples: int,
    folder: Path,
    fields: dict[str, int] | None = None,
) -> None:
    """LoadGen used directly; its logs are then in ``folder``."""
    folder.mkdir()
    _run(
        "direct_run.py",
        str(conf),
        scenario,
        MODES[mode],
        str(samples),
        str(folder),
        json.dumps(fields or {}),
    )


def logged_settings(folder: Path) -> dict[str, Any]:
    """Every requested_* and effective_* value of a detail log."""
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line[8:]) for line in lines if line.startswith(":::MLLOG")]
    return {
        entry["key"]: entry["value"]
        for entry in entries
        if entry["key"].startswith(("requested_", "effective_"))
    }

"""Starts the helper programs of these tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import SCENARIOS, Mode, Scenario, Suite, loadgen_model
from loadfleet_agent.contract.plan import RunPlan

ALL = [
    (suite, scenario, mode)
    for suite in Suite
    for scenario in SCENARIOS[suite]
    for mode in Mode
    if (suite, mode) != (Suite.EDGE, Mode.TEST06)
]
"""Every LoadGen run that MLPerf knows for this model."""

HERE = Path(__file__).parent
MODES = {
    Mode.PERFORMANCE: "PerformanceOnly",
    Mode.ACCURACY: "AccuracyOnly",
    Mode.TEST06: "PerformanceOnly",
}


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
    """The outcome of our phase over a scripted engine, at the plan's rate."""
    plan_path = folder.with_suffix(".plan.json")
    plan_path.write_text(plan.model_dump_json())
    more = [json.dumps(fields)] if fields else []
    text = _run("phase_process.py", str(plan_path), behaviour, scenario, mode, str(folder), *more)
    outcome: dict[str, Any] = json.loads(text.splitlines()[-1])
    return outcome


def find_rate_apart(
    plan: RunPlan, behaviour: str, scenario: Scenario, folder: Path, start: float | None
) -> dict[str, Any]:
    """The outcome of a search for the scenario's rate, from this Offline rate on."""
    plan_path = folder.with_suffix(".plan.json")
    plan_path.write_text(plan.model_dump_json())
    more = [json.dumps(start)]
    text = _run("phase_process.py", str(plan_path), behaviour, scenario, "rate", str(folder), *more)
    outcome: dict[str, Any] = json.loads(text.splitlines()[-1])
    return outcome


def run_directly(
    plan: RunPlan,
    scenario: Scenario,
    mode: Mode,
    like: Path,
    folder: Path,
    fields: dict[str, int] | None = None,
) -> None:
    """LoadGen used directly, with the files of the phase ``like``; its logs are in ``folder``."""
    folder.mkdir()
    _run(
        "direct_run.py",
        str(like / "user.conf"),
        loadgen_model(plan.suite, scenario),
        scenario.loadgen,
        MODES[mode],
        str(plan.samples),
        str(folder),
        json.dumps(fields or {}),
        str(like / "audit.config"),
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

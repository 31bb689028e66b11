"""The most that LoadGen and the agent can do: a run of the null engine at full speed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..contract.base import utc_now
from ..contract.benchmark import Mode, Scenario
from ..contract.plan import RunPlan, phase_name
from ..contract.result import HostResult, PhaseResult
from ..contract.settings import parse_settings, resolve_plan
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..runs import Runs
from .figures import NullCeiling

SETTINGS: dict[str, Any] = {
    "profile": "null-engine",
    "model": {"source": "tiny"},
    "dataset": {"source": "synthetic"},
    "scenarios": ["Offline", "Server"],
    "modes": ["performance"],
    # So few samples are made in a moment; LoadGen repeats them. Prompts have no cost here.
    "length": {"samples": 1000, "server_queries": 500, "min_duration_ms": 10_000},
    # The harness alone saturates within a few percent, and a busy host moves that point: the run
    # itself stays well below.
    "rate_search": {"queries": 600, "duration_s": 8, "probes": 8, "precision": 0.1, "margin": 0.2},
}


def null_plan(run_id: str | None = None) -> RunPlan:
    """128 tokens an answer, all records kept, as in a real run; 10 s for each scenario."""
    name = run_id or f"{utc_now():%Y%m%dT%H%M%SZ}-overhead"
    return resolve_plan(parse_settings(SETTINGS), run_id=name, host="localhost")


def measure_null(home: Path) -> NullCeiling:
    """Runs it, in ``home``. Raises RunFailure if the run failed or is not valid."""
    plan = null_plan()
    result = Runs(home).run(plan)
    offline = completed(result, Scenario.OFFLINE)
    server = completed(result, Scenario.SERVER)
    assert server.loadgen.ttft is not None
    return NullCeiling(
        offline_samples_per_s=offline.loadgen.samples_per_second or 0.0,
        offline_cpu_share=cpu_share(offline),
        server_queries_per_s_held=server.loadgen.samples_per_second or 0.0,
        server_ttft_p99_ms=server.loadgen.ttft.percentiles["99.00"] / 1e6,
        server_cpu_share=cpu_share(server),
        answer_tokens=plan.generation.max_tokens,
        processors=len(os.sched_getaffinity(0)),
    )


def completed(result: HostResult, scenario: Scenario) -> PhaseResult:
    """The valid performance run of a scenario. Raises RunFailure if there is none."""
    if result.failure is not None:
        raise RunFailure(result.failure.code, result.failure.message)
    name = phase_name(scenario, Mode.PERFORMANCE)
    phase = next(item for item in result.phases if item.name == name)
    if phase.gate:
        raise RunFailure(FailureCode.LOADGEN, f"{name}: {phase.gate[0]}")
    return phase


def cpu_share(phase: PhaseResult) -> float:
    """Processor time of LoadGen and of what feeds the engine, over time: 1 is one core."""
    seconds = (phase.ended_utc - phase.started_utc).total_seconds()
    return phase.harness_cpu_s / seconds

"""Energy of a run's GPUs, and what each output token took of it."""

from __future__ import annotations

from loadfleet_agent.contract.energy import PhaseEnergy, total
from loadfleet_agent.contract.result import EngineFacts, HostResult, PhaseResult
from pydantic import ValidationError

from .model import EnergyReport


def energy_report(phase: PhaseResult, result: HostResult) -> EnergyReport | None:
    """Of the GPUs that the engine used; None for a run whose energy is not asked for or that
    used no GPU."""
    found = next((item for item in result.energy if item.phase == phase.name), None)
    if found is None or result.engine is None or not result.engine.gpus:
        return None
    try:
        return _of_gpus(phase, found, result.engine)
    except ValidationError:
        reason = "the numbers that the host tells make no sense"
        return EnergyReport(gpus=len(result.engine.gpus), reason=reason)


def _of_gpus(phase: PhaseResult, found: PhaseEnergy, engine: EngineFacts) -> EnergyReport:
    of_gpus = found.of(engine.gpus)
    missing = len(of_gpus) < len(engine.gpus)
    reasons = [f"GPU {energy.gpu}: {energy.reason}" for energy in of_gpus if energy.reason]
    joules = None if missing else total(of_gpus)
    power_w = None
    tokens = phase.output_tokens.mean * phase.output_tokens.count
    if joules is not None:
        power_w = sum(energy.mean_power_w or 0.0 for energy in of_gpus)
    speed = phase.loadgen.tokens_per_second
    return EnergyReport(
        gpus=len(engine.gpus),
        joules=joules,
        mean_power_w=power_w,
        joules_per_output_token=joules / tokens if joules is not None and tokens > 0 else None,
        tokens_per_second_per_watt=speed / power_w if speed and power_w else None,
        reason="telemetry lacks a GPU that was used" if missing else "; ".join(reasons),
    )

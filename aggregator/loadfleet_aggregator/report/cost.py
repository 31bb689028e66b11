"""What a million output tokens cost, from prices that the user gives."""

from __future__ import annotations

import math

from loadfleet_agent.contract.benchmark import Mode
from loadfleet_agent.contract.result import EngineFacts, PhaseResult

from ..fleet.prices import Prices
from .model import CostReport, EnergyReport

MILLION = 1e6
JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0


def cost_report(
    phase: PhaseResult,
    engine: EngineFacts | None,
    energy: EnergyReport | None,
    prices: Prices,
) -> CostReport | None:
    """Of a performance run on GPUs; None for any other, or without a price.

    Of the GPUs alone: the host, its fans and its idle hours are not in it.
    """
    counts = phase.mode is Mode.PERFORMANCE and prices.given
    if not counts or engine is None or not engine.gpus:
        return None
    for_gpus = for_energy = None
    speed = phase.loadgen.tokens_per_second
    if prices.per_gpu_hour is not None and speed:
        hours = MILLION / speed / SECONDS_PER_HOUR
        for_gpus = hours * len(engine.gpus) * prices.per_gpu_hour
    joules = energy.joules_per_output_token if energy else None
    if prices.per_kwh is not None and joules is not None:
        for_energy = joules * MILLION / JOULES_PER_KWH * prices.per_kwh
    priced = [
        part
        for price, part in ((prices.per_gpu_hour, for_gpus), (prices.per_kwh, for_energy))
        if price is not None
    ]
    known = [part for part in priced if part is not None]
    whole = len(known) == len(priced) and math.isfinite(sum(known))
    return CostReport(
        prices=prices,
        gpus=_finite(for_gpus),
        energy=_finite(for_energy),
        total=sum(known) if whole else None,
    )


def _finite(value: float | None) -> float | None:
    """None for what a host's senseless numbers come to."""
    return value if value is not None and math.isfinite(value) else None

"""What is measured of a scenario, and where it stands in a report."""

from __future__ import annotations

from enum import StrEnum

from loadfleet_agent.contract.benchmark import Scenario

from ..text.figures import milliseconds, number
from .model import PhaseReport


class Metric(StrEnum):
    """A number of a performance run, as LoadGen logged it."""

    TOKENS_PER_SECOND = "tokens_per_second"
    LATENCY_P90 = "latency_p90_ns"
    TTFT_P99 = "ttft_p99_ns"
    TPOT_P99 = "tpot_p99_ns"

    @property
    def lower_is_better(self) -> bool:
        return self is not Metric.TOKENS_PER_SECOND

    @property
    def label(self) -> str:
        """Its name with the unit of ``shown``."""
        return {
            Metric.TOKENS_PER_SECOND: "tokens/s",
            Metric.LATENCY_P90: "p90 ms",
            Metric.TTFT_P99: "TTFT p99 ms",
            Metric.TPOT_P99: "TPOT p99 ms",
        }[self]

    def of(self, phase: PhaseReport | None) -> float | None:
        """The phase's number, positive; None where it has none."""
        if phase is None:
            return None
        if self is Metric.TOKENS_PER_SECOND:
            value: float | None = phase.tokens_per_second
        else:
            latency, percentile = {
                Metric.LATENCY_P90: (phase.latency, "90.00"),
                Metric.TTFT_P99: (phase.ttft, "99.00"),
                Metric.TPOT_P99: (phase.tpot, "99.00"),
            }[self]
            value = latency.percentiles.get(percentile) if latency else None
        return value if value and value > 0 else None

    def shown(self, value: float | None) -> str:
        return number(value) if self is Metric.TOKENS_PER_SECOND else milliseconds(value)


def result_metric(scenario: Scenario) -> Metric:
    """What MLPerf counts of a scenario."""
    if scenario is Scenario.SINGLE_STREAM:
        return Metric.LATENCY_P90
    return Metric.TOKENS_PER_SECOND

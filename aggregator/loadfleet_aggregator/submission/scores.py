"""The scores of a package, as MLPerf counts them and as its messaging rules let them be told."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.result import PhaseResult, RougeScore

from .measured import Measured
from .rounds import Division, Round

STATEMENT = "Result not verified by MLCommons Association."
"""Required beside every score that MLCommons has not reviewed, with the word unverified
(``MLPerf_Results_Messaging_Guidelines.adoc`` of mlcommons/policies at c195f80f)."""
TRADEMARK = (
    "The MLPerf name and logo are registered and unregistered trademarks of MLCommons Association "
    "in the United States and other countries. All rights reserved. Unauthorized use strictly "
    "prohibited. See www.mlcommons.org for more information."
)


class Score(Frozen):
    """One result: of one system in one scenario. Never of several hosts."""

    round: str
    division: Division
    system: str
    benchmark: str
    scenario: Scenario
    value: float
    unit: str
    accuracy: RougeScore
    rehearsal: bool
    """Whether the division does not take what was run: then it is no result of MLPerf."""

    @property
    def amount(self) -> str:
        return f"{self.value:,.2f} {self.unit}"

    @property
    def title(self) -> str:
        """What was measured, in the form of MLPerf's footnotes."""
        division = self.division.value.capitalize()
        rehearsal = "Rehearsal, no result of " if self.rehearsal else ""
        return (
            f"{rehearsal}MLPerf {self.round} Inference {division} {self.benchmark} "
            f"{self.scenario.value}, {self.system}"
        )

    def __str__(self) -> str:
        return f"{self.title}: {self.amount} (unverified). {STATEMENT}"


def score_host(
    host: Measured, system: str, round_: Round, division: Division, *, rehearsal: bool
) -> list[Score]:
    """A score for each scenario that has a performance and an accuracy run."""
    found = []
    for scenario in host.scenarios:
        phase = host.phase(scenario, Mode.PERFORMANCE)
        judged = host.accuracy(scenario)
        counted = metric(phase) if phase is not None else None
        if judged is not None and counted is not None:
            value, unit = counted
            found.append(
                Score(
                    round=round_.name,
                    division=division,
                    system=system,
                    benchmark=round_.benchmarks[host.suite],
                    scenario=scenario,
                    value=value,
                    unit=unit,
                    accuracy=judged.score,
                    rehearsal=rehearsal,
                )
            )
    return found


def metric(phase: PhaseResult) -> tuple[float, str] | None:
    """LoadGen's own number that is the benchmark's metric, and its unit; None if it has none."""
    if phase.scenario is Scenario.SINGLE_STREAM:
        latency = phase.loadgen.latency
        p90_ns = latency.percentiles.get("90.00") if latency else None
        return None if p90_ns is None else (p90_ns / 1e6, "ms at the 90th percentile")
    speed = phase.loadgen.tokens_per_second
    return None if speed is None else (speed, "tokens/s")

"""All hosts at a glance: a cell for each, and a row for each, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadfleet_agent.contract.benchmark import Scenario

from ..metric import Metric, result_metric
from ..model import FleetReport, HostReport
from ..performance import counts, performance_runs
from ..shown import percent
from .standing import PlacedHost, Standing

SHADES = (0.92, 0.95, 0.97, 0.99, 1.01, 1.03)
"""Bounds of a cell's seven shades, as a share of the median."""


@dataclass(frozen=True)
class Cell:
    host: PlacedHost
    shade: int | None
    """0, the slowest, to 6; None without a speed to compare."""
    title: str


@dataclass(frozen=True)
class Column:
    """One figure of the table of hosts."""

    scenario: Scenario
    metric: Metric

    @property
    def label(self) -> str:
        return f"{self.scenario} {self.metric.label}"

    def value(self, host: HostReport) -> float | None:
        return self.metric.of(performance_runs(host).get(self.scenario))

    def struck(self, host: HostReport) -> bool:
        """Whether it is the speed of a run that does not count."""
        run = performance_runs(host).get(self.scenario)
        if run is None or self.value(host) is None:
            return False
        return self.metric is result_metric(self.scenario) and not counts(host, run)

    def shown(self, host: HostReport) -> str:
        return self.metric.shown(self.value(host))


def cells(placed: Sequence[PlacedHost]) -> tuple[Cell, ...]:
    return tuple(_cell(host) for host in placed if host.standing is not Standing.NOT_SELECTED)


def result_columns(report: FleetReport) -> tuple[Column, ...]:
    """What MLPerf counts of each scenario that any host performed."""
    return tuple(Column(scenario, result_metric(scenario)) for scenario in performed(report))


def host_columns(report: FleetReport) -> tuple[Column, ...]:
    """Results, with the latencies that have a limit."""
    found = []
    for scenario in performed(report):
        found.append(Column(scenario, result_metric(scenario)))
        if scenario.paced:
            found += [Column(scenario, Metric.TTFT_P99), Column(scenario, Metric.TPOT_P99)]
    return tuple(found)


def performed(report: FleetReport) -> list[Scenario]:
    """Scenarios of which any host completed a performance run."""
    done = {scenario for host in report.hosts for scenario in performance_runs(host)}
    return [scenario for scenario in Scenario if scenario in done]


def rouge_l(host: HostReport) -> float | None:
    """Of the host's first accuracy run."""
    return host.accuracy[0].score.rougeL if host.accuracy else None


def _cell(host: PlacedHost) -> Cell:
    title = f"{host.name}: {host.standing.value}"
    if host.pace is not None:
        title += f", {percent(host.pace)} of the median speed"
    if host.why:
        title += f", {host.why}"
    shade = None if host.pace is None else sum(host.pace >= bound for bound in SHADES)
    return Cell(host, shade, title)

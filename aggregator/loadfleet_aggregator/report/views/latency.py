"""Latency of the performance runs: distributions, percentiles, limits, and how sure p99 is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.loadgen_log import LatencyNs

from ...samples.model import LatencyCurve
from ..charts.latency import Distributions, distributions
from ..charts.percentiles import PercentileRow, Percentiles, percentile_axis
from ..charts.scale import Tick
from ..model import PhaseReport
from .listing import Listed, drawn, lines, listed
from .standing import PlacedHost

MOST_LINES = 12
"""More hosts than so many are drawn as a band with the hosts that want a look."""
METRICS = (("ttft", "TTFT"), ("tpot", "TPOT"), ("latency", "whole answer"))


@dataclass(frozen=True)
class LatencyRow:
    """One latency of one run; LoadGen's percentiles, and of the agent's curve where it has one."""

    host: PlacedHost
    loadgen: LatencyNs
    curve: LatencyCurve | None
    limit_ns: int | None
    within: bool | None
    """LoadGen's p99 within the limit; None without one."""
    drawn: PercentileRow | None

    @property
    def bound_ns(self) -> float | None:
        return self.curve.p99_bound_ns if self.curve else None


@dataclass(frozen=True)
class LatencyView:
    """One latency of one scenario and group."""

    title: str
    scenario: Scenario
    metric: str
    limit_ns: int | None
    rows: Listed[LatencyRow]
    ticks: tuple[Tick, ...]
    chart: Distributions | None
    in_band: int
    """Hosts in the chart's band; 0: each has its line."""
    no_curves: tuple[str, ...]
    """Why there are none, of hosts without."""

    @property
    def leads(self) -> bool:
        """It is what the scenario is judged by; else it is folded up."""
        return self.metric != "latency" or self.scenario is Scenario.SINGLE_STREAM


def latency_views(placed: Sequence[PlacedHost]) -> tuple[LatencyView, ...]:
    """One for each scenario, group and latency that any host told."""
    groups = sorted({host.host.group for host in placed if host.host.group})
    found = []
    for scenario in Scenario:
        for group in groups:
            members = [host for host in placed if host.host.group == group]
            for metric, label in METRICS:
                view = _view(members, scenario, metric, f"{scenario} {label}")
                if view is not None:
                    title = view.title + (f", group {group}" if len(groups) > 1 else "")
                    found.append(replace(view, title=title))
    return tuple(found)


def _view(
    hosts: Sequence[PlacedHost], scenario: Scenario, metric: str, title: str
) -> LatencyView | None:
    runs = [
        (host, phase, latency)
        for host in hosts
        for phase in host.host.phases
        if phase.scenario is scenario and phase.mode == Mode.PERFORMANCE
        and (latency := getattr(phase, metric)) is not None
    ]  # fmt: skip
    if not runs:
        return None
    limit_ns = _limit(runs[0][1], metric)
    of_host = {host.name: [_row(host, phase, latency, metric)] for host, phase, latency in runs}
    rows = listed(hosts, lambda host: of_host.get(host.name, []))
    axis = percentile_axis([_percentiles(row) for row in rows.rows], limit_ns)
    placed = tuple(replace(row, drawn=axis.row(_percentiles(row))) for row in rows.rows)
    chart, in_band = _chart([(h, c) for h, p, _ in runs if (c := _curve(p, metric)) is not None])
    return LatencyView(
        title=title,
        scenario=scenario,
        metric=metric,
        limit_ns=limit_ns,
        rows=replace(rows, rows=placed),
        ticks=axis.ticks,
        chart=chart,
        in_band=in_band,
        no_curves=tuple(dict.fromkeys(p.no_curves for _, p, _ in runs if p.no_curves)),
    )


def _chart(told: Sequence[tuple[PlacedHost, LatencyCurve]]) -> tuple[Distributions | None, int]:
    """The chart, and how many hosts are in its band."""
    if not told:
        return None, 0
    shown = drawn(told, MOST_LINES)
    series = lines([host for host, _ in shown.named], over_band=bool(shown.fleet))
    named = [(one, curve) for one, (_, curve) in zip(series, shown.named, strict=True)]
    return distributions(named, shown.fleet), len(shown.fleet)


def _row(host: PlacedHost, phase: PhaseReport, latency: LatencyNs, metric: str) -> LatencyRow:
    limit = _limit(phase, metric)
    within = None if limit is None else latency.percentiles["99.00"] <= limit
    return LatencyRow(host, latency, _curve(phase, metric), limit, within, None)


def _percentiles(row: LatencyRow) -> Percentiles:
    told = row.loadgen.percentiles
    return Percentiles(told["50.00"], told["90.00"], told["99.00"], row.bound_ns)


def _limit(phase: PhaseReport, metric: str) -> int | None:
    return {"ttft": phase.ttft_limit_ns, "tpot": phase.tpot_limit_ns}.get(metric)


def _curve(phase: PhaseReport, metric: str) -> LatencyCurve | None:
    return next((curve for curve in phase.curves if curve.metric == metric), None)

"""ROUGE against MLPerf's targets, pooled and by host, and how far the hosts' answers agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadfleet_agent.contract.result import Accuracy

from ...samples.model import Agreement, HostAgreement
from ..charts.dots import DotRow, dot_axis
from ..charts.scale import Scale, Tick
from ..model import FleetReport, PooledAccuracy
from .listing import ALL_LISTED, Listed, Range, listed, value_range
from .standing import PlacedHost

ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}


@dataclass(frozen=True)
class RougeRow:
    """One metric over the hosts of a group."""

    label: str
    pooled: float
    least: float | None
    """That passes; None where MLPerf's targets mean nothing."""
    margin: float | None
    hosts: Range
    drawn: DotRow


@dataclass(frozen=True)
class PooledView:
    title: str
    pooled: PooledAccuracy
    rows: tuple[RougeRow, ...]
    ticks: tuple[Tick, ...]
    margins: bool
    """The dots stand by their distance from the least that passes."""


@dataclass(frozen=True)
class ScoreRow:
    host: PlacedHost
    item: Accuracy


@dataclass(frozen=True)
class AgreementView:
    title: str
    agreement: Agreement
    hosts: tuple[tuple[HostAgreement, float], ...]
    """The least agreeing first, not all of a large fleet; with the percent of a bar of the answers
    that differ."""
    left_out: int


def pooled_views(report: FleetReport) -> tuple[PooledView, ...]:
    return tuple(_pooled(report, item) for item in report.pooled_accuracy)


def score_rows(placed: Sequence[PlacedHost]) -> Listed[ScoreRow]:
    return listed(placed, lambda host: [ScoreRow(host, item) for item in host.host.accuracy])


def agreement_views(report: FleetReport) -> tuple[AgreementView, ...]:
    groups = len({item.group for item in report.agreement})
    return tuple(
        AgreementView(
            item.scenario.value + (f", group {item.group}" if groups > 1 else ""),
            item,
            _with_bars(item.hosts[:ALL_LISTED]),
            max(0, len(item.hosts) - ALL_LISTED),
        )
        for item in report.agreement
    )


def _with_bars(hosts: Sequence[HostAgreement]) -> tuple[tuple[HostAgreement, float], ...]:
    axis = Scale(0.0, max((1 - host.identical for host in hosts), default=0.0) or 1.0)
    return tuple((host, axis.percent(1 - host.identical)) for host in hosts)


def _pooled(report: FleetReport, item: PooledAccuracy) -> PooledView:
    scores = {
        host.name: told.score
        for host in report.hosts
        if host.group == item.group
        for told in host.accuracy
        if told.scenario is item.scenario
    }
    metrics = {
        name: [(host, float(getattr(score, name))) for host, score in scores.items()]
        for name in ROUGE
    }
    margins = all(name in item.margins for name in ROUGE)
    least = {
        name: round(getattr(item.score, name) - item.margins[name], 6) if margins else None
        for name in ROUGE
    }
    axis = dot_axis(
        [v - (least[name] or 0.0) for name, of in metrics.items() for _, v in of]
        + [getattr(item.score, name) - (least[name] or 0.0) for name in ROUGE],
        margins=margins,
    )
    groups = len({pooled.group for pooled in report.pooled_accuracy})
    rows = []
    for name, label in ROUGE.items():
        pooled = float(getattr(item.score, name))
        spread = value_range([value for _, value in metrics[name]])
        rows.append(
            RougeRow(
                label=label,
                pooled=pooled,
                least=least[name],
                margin=item.margins.get(name) if margins else None,
                hosts=spread or Range(pooled, pooled, pooled),
                drawn=axis.row(metrics[name], pooled, least[name]),
            )
        )
    title = item.scenario.value + (f", group {item.group}" if groups > 1 else "")
    return PooledView(title, item, tuple(rows), axis.ticks, margins)

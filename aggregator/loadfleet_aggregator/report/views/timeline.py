"""Hosts on the report's axis of time, and what each run came to there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...fleet.clock import controller_time
from ...timeline.model import TimeAxis
from ..charts.marks import Series
from ..charts.timeline import QUANTITIES, Run, Timeline, draw_timeline
from ..model import FleetReport
from .listing import drawn, lines
from .standing import PlacedHost

MOST_LINES = 8
"""More hosts than so many are drawn as a band with the hosts that want a look."""


@dataclass(frozen=True)
class RunMeans:
    """One run of one host: the mean over its bins of each quantity that any host told."""

    host: PlacedHost
    run: str
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class TimelineView:
    chart: Timeline
    in_band: int
    """Hosts in the band; 0: each has its line."""
    heads: tuple[tuple[str, str], ...]
    """Title and unit of each column of ``means``."""
    means: tuple[RunMeans, ...]
    """Of the hosts that are drawn."""
    notes: tuple[tuple[str, str], ...]
    """Host, and what is to be known of its clock."""


def timeline_view(report: FleetReport, placed: Sequence[PlacedHost]) -> TimelineView | None:
    """None where no host has a timeline."""
    told = [(host, line) for host in placed if (line := host.host.timeline) is not None]
    if report.axis is None or not told:
        return None
    shown = drawn(told, MOST_LINES)
    series = lines([host for host, _ in shown.named], over_band=bool(shown.fleet))
    named = [
        (one, line, runs_of(host)) for one, (host, line) in zip(series, shown.named, strict=True)
    ]
    chart = draw_timeline(report.axis, named, shown.fleet)
    titles = {panel.title for panel in chart.panels}
    columns = [quantity for quantity in QUANTITIES if quantity.title in titles]
    return TimelineView(
        chart=chart,
        in_band=len(shown.fleet),
        heads=tuple((quantity.title, quantity.unit) for quantity in columns),
        means=tuple(
            RunMeans(host, run.label, tuple(
                _mean(quantity.values(line), report.axis, run, quantity.factor)
                for quantity in columns
            ))
            for host, line in shown.named
            for run in runs_of(host)
        ),
        notes=tuple((host.name, line.note) for host, line in told if line.note)[:MOST_LINES],
    )  # fmt: skip


def host_timeline(report: FleetReport, host: PlacedHost) -> Timeline | None:
    """One host alone; None where it has no timeline."""
    if report.axis is None or host.host.timeline is None:
        return None
    series = Series(host.name, host.anchor, 0)
    return draw_timeline(report.axis, [(series, host.host.timeline, runs_of(host))], [], small=True)


def runs_of(host: PlacedHost) -> list[Run]:
    """By the controller's clock, as the axis is."""
    offset_s = host.host.clock_offset_s or 0.0
    return [
        Run(
            phase.name,
            phase.mode,
            controller_time(phase.started_utc, offset_s),
            controller_time(phase.ended_utc, offset_s),
            phase.valid,
        )
        for phase in host.host.phases
    ]


def _mean(values: Sequence[float | None], axis: TimeAxis, run: Run, factor: float) -> float | None:
    """Over the bins whose middle lies in the run."""
    start = (run.start - axis.start_utc).total_seconds() / axis.bin_s - 0.5
    end = (run.end - axis.start_utc).total_seconds() / axis.bin_s - 0.5
    known = [v for index, v in enumerate(values) if v is not None and start <= index <= end]
    return sum(known) / len(known) * factor if known else None

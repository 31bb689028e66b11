"""Hosts over time on one axis in UTC: runs as bands, and a panel for each thing that was told."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ...timeline.model import HostTimeline, TimeAxis
from ...timeline.model import Series as Values
from .curve import Box, Point, area, band, curve, grid
from .marks import Series
from .scale import Scale, Tick, scale_over, time_ticks

PERFORMANCE = "performance"
LARGE = 1000
SMALL = 100
"""Height of a panel's box: of a chart for all hosts, and of one among the facts of a host."""
SMALL_BINS = 120
"""At most so many bins in a small chart, each the mean of several."""
BAND = (10, 90)
"""Percentiles of the fleet, over the hosts in each bin."""


@dataclass(frozen=True)
class Quantity:
    """One thing that hosts tell over time."""

    title: str
    unit: str
    values: Callable[[HostTimeline], Values]
    from_zero: bool = True
    factor: float = 1.0


QUANTITIES = (
    Quantity("output", "tokens/s", lambda host: host.tokens_per_second),
    Quantity("running requests", "in the engine's batch", lambda host: host.running),
    Quantity("waiting requests", "for a place in it", lambda host: host.waiting),
    Quantity("KV cache", "% in use", lambda host: host.kv_cache, factor=100.0),
    Quantity("GPU power", "W", lambda host: host.power_w),
    Quantity("SM clock", "MHz, slowest GPU", lambda host: host.sm_clock_mhz, from_zero=False),
    Quantity("GPU temperature", "\N{DEGREE SIGN}C, hottest GPU", lambda host: host.temperature_c,
             from_zero=False),
    Quantity("processors", "% busy", lambda host: host.cpu_percent),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A LoadGen run of a host, before it is drawn."""

    label: str
    kind: str
    """performance, accuracy or another mode."""
    start: datetime
    end: datetime
    valid: bool


@dataclass(frozen=True)
class RunBand:
    label: str
    kind: str
    x: float
    width: float
    valid: bool


@dataclass(frozen=True)
class RunRow:
    series: Series
    bands: tuple[RunBand, ...]
    performance: str
    """The bands as areas behind the panels; of performance runs, and of all others."""
    others: str


@dataclass(frozen=True)
class PanelLine:
    series: Series
    path: str


@dataclass(frozen=True)
class Panel:
    """One quantity; ``low`` and ``high`` are the values at its bottom and top."""

    title: str
    unit: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    """In percent from the top."""
    lines: tuple[PanelLine, ...]
    band: str
    middle: str
    grid: str


@dataclass(frozen=True)
class Timeline:
    start: datetime
    seconds: float
    box: Box
    """Of every panel: across two for each bin, so that a bin's middle is a whole number."""
    ticks: tuple[Tick, ...]
    runs: tuple[RunRow, ...]
    panels: tuple[Panel, ...]


def draw_timeline(
    axis: TimeAxis,
    named: Sequence[tuple[Series, HostTimeline, Sequence[Run]]],
    fleet: Sequence[HostTimeline],
    *,
    small: bool = False,
) -> Timeline:
    """The named hosts as lines over the band of ``fleet``, which is empty where all are named."""
    merged = -(-axis.bins // SMALL_BINS) if small else 1
    bins = -(-axis.bins // merged)
    # The last merged bin may be longer than what is left of the axis.
    length = axis.bin_s * merged * bins
    box = Box(2 * bins, SMALL if small else LARGE)
    ticks = time_ticks(axis.start_utc, length)

    def series(quantity: Quantity, host: HostTimeline) -> list[float | None]:
        return _merged(_told(quantity, host, axis.bins), merged)

    panels = (
        _panel(
            quantity,
            [(name, series(quantity, host)) for name, host, _ in named],
            [series(quantity, host) for host in fleet],
            ticks,
            box,
        )
        for quantity in QUANTITIES
    )
    return Timeline(
        start=axis.start_utc,
        seconds=length,
        box=box,
        ticks=ticks,
        runs=tuple(
            _run_row(name, run_bands(axis.start_utc, length, runs), box) for name, _, runs in named
        ),
        panels=tuple(panel for panel in panels if panel is not None),
    )


def run_bands(start: datetime, seconds: float, runs: Sequence[Run]) -> tuple[RunBand, ...]:
    """The runs that lie on the axis."""
    scale = Scale(0.0, seconds)
    found = []
    for run in runs:
        left = scale.percent((run.start - start).total_seconds())
        right = scale.percent((run.end - start).total_seconds())
        if right > left:
            found.append(RunBand(run.label, run.kind, left, round(right - left, 2), run.valid))
    return tuple(found)


def _run_row(series: Series, bands: tuple[RunBand, ...], box: Box) -> RunRow:
    areas = {
        performance: "".join(
            area(band.x, band.width, box)
            for band in bands
            if (band.kind == PERFORMANCE) is performance
        )
        for performance in (True, False)
    }
    return RunRow(series, bands, areas[True], areas[False])


def _panel(
    quantity: Quantity,
    lines: Sequence[tuple[Series, Sequence[float | None]]],
    fleet: Sequence[Sequence[float | None]],
    times: Sequence[Tick],
    box: Box,
) -> Panel | None:
    """None where no host tells it."""
    edges, middle = _fleet_lines(fleet)
    known = [value for _, values in lines for value in values if value is not None]
    known += [value for edge in edges for value in edge if value is not None]
    if not known:
        return None
    scale = scale_over(known, from_zero=quantity.from_zero)
    ticks = tuple(Tick(round(100 - tick.at, 2), tick.label) for tick in scale.ticks(2))
    return Panel(
        title=quantity.title,
        unit=quantity.unit,
        low=float(f"{scale.low:.5g}"),
        high=float(f"{scale.high:.5g}"),
        ticks=ticks,
        lines=tuple(
            PanelLine(series, path)
            for series, values in lines
            if (path := curve(_points(values, scale), box))
        ),
        band=band(_points(edges[1], scale), _points(edges[0], scale), box) if edges else "",
        middle=curve(_points(middle, scale), box),
        grid=grid((tick.at for tick in times), (tick.at for tick in ticks), box),
    )


def _told(quantity: Quantity, host: HostTimeline, bins: int) -> list[float | None]:
    """One value a bin; series that are shorter are not told to their end."""
    values = list(quantity.values(host)[:bins])
    values += [None] * (bins - len(values))
    return [None if value is None else value * quantity.factor for value in values]


def _merged(values: Sequence[float | None], number: int) -> list[float | None]:
    """The mean of each ``number`` values that are known."""
    if number == 1:
        return list(values)
    pieces = (values[at : at + number] for at in range(0, len(values), number))
    known = ([value for value in piece if value is not None] for piece in pieces)
    return [sum(piece) / len(piece) if piece else None for piece in known]


def _fleet_lines(
    hosts: Sequence[Sequence[float | None]],
) -> tuple[list[list[float | None]], list[float | None]]:
    """Low and high edge, and the middle, of the hosts that tell something in each bin."""
    if not hosts:
        return [], []
    table = np.array(hosts, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of bins of which nobody told anything
        low, middle, high = np.nanpercentile(table, (BAND[0], 50, BAND[1]), axis=0)
    return [_or_none(low), _or_none(high)], _or_none(middle)


def _or_none(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _points(values: Sequence[float | None], scale: Scale) -> list[Point | None]:
    bins = len(values)
    return [
        None if value is None else ((index + 0.5) / bins, 1 - scale.percent(value) / 100)
        for index, value in enumerate(values)
    ]

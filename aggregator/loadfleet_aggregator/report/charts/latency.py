"""Cumulative distributions of a latency: a line a host, or a band of the fleet with a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...samples.model import PROBABILITIES, LatencyCurve
from .curve import Box, Point, band, curve, grid
from .marks import Series
from .scale import Scale, Tick

LIMIT_FAR = 4.0
"""A limit that is more than so many times as far as the curves is not drawn, only told."""
TAIL = 1.3
"""The axis ends at so many times the slowest host's p99, or at what bounds it: the last samples of
a hundred may lie far beyond."""
FROM_ZERO = 0.4
"""The axis begins at 0 where the fastest sample lies below this share of its end."""
BOX = Box()
MARKED = (0.5, 0.9, 0.99)
BAND = (5, 95)
"""Percentiles of the fleet, over the hosts at each probability."""


@dataclass(frozen=True)
class Mark:
    """A shape on a line, in percent of the chart."""

    x: float
    y: float


@dataclass(frozen=True)
class Line:
    series: Series
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Distributions:
    """One chart of cumulative distributions; across latency in ms, down 1 to 0."""

    low_ms: float
    high_ms: float
    lines: tuple[Line, ...]
    band: str
    middle: str
    """The fleet's median host at each probability; '' without a band."""
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    """Named probabilities, in percent from the top."""
    limit: float | None
    """Percent across; None: there is none, or it is far to the right."""
    grid: str


def distributions(
    named: Sequence[tuple[Series, LatencyCurve]], fleet: Sequence[LatencyCurve]
) -> Distributions:
    """Lines of the named hosts over the band of ``fleet``, which is empty where all are named.

    At least one curve, all of one metric.
    """
    curves = [*(curve for _, curve in named), *fleet]
    limit_ns = curves[0].limit_ns
    scale, near = _scale(curves, limit_ns)
    ticks = scale.ticks(5)
    levels = tuple(Tick(round((1 - p) * 100, 2), f"p{p * 100:g}") for p in (0.99, 0.9, 0.5))
    edges, middle = _fleet_lines(fleet)
    return Distributions(
        low_ms=scale.low,
        high_ms=scale.high,
        lines=tuple(_line(series, told, scale) for series, told in named),
        band=band(_points(edges[0], scale), _points(edges[1], scale), BOX) if edges else "",
        middle=curve(_points(middle, scale), BOX) if middle else "",
        ticks=ticks,
        levels=levels,
        limit=scale.percent(limit_ns / 1e6) if near and limit_ns else None,
        grid=grid((tick.at for tick in ticks), (level.at for level in levels), BOX),
    )


def _scale(curves: Sequence[LatencyCurve], limit_ns: int | None) -> tuple[Scale, bool]:
    """Milliseconds across, and whether the limit is near enough to be on the axis."""
    at = PROBABILITIES.index(0.99)
    widest = max(
        min(told.quantiles_ns[-1], max(TAIL * told.quantiles_ns[at], told.p99_bound_ns or 0.0))
        for told in curves
    )
    near = limit_ns is not None and limit_ns <= LIMIT_FAR * widest
    high = max(widest, limit_ns if near and limit_ns else 0.0) * 1.02 / 1e6 or 1.0
    least = min(told.quantiles_ns[0] for told in curves) / 1e6
    low = 0.0 if least < FROM_ZERO * high else least - 0.1 * (high - least)
    return Scale(low, high), near


def _fleet_lines(fleet: Sequence[LatencyCurve]) -> tuple[list[list[float]], list[float]]:
    """Nanoseconds at each probability: the band's two edges, and the middle."""
    if not fleet:
        return [], []
    table = np.array([told.quantiles_ns for told in fleet])
    low, high = np.percentile(table, BAND, axis=0)
    return [low.tolist(), high.tolist()], np.median(table, axis=0).tolist()


def _line(series: Series, told: LatencyCurve, scale: Scale) -> Line:
    marks = tuple(
        Mark(
            scale.percent(told.quantiles_ns[PROBABILITIES.index(p)] / 1e6), round((1 - p) * 100, 2)
        )
        for p in MARKED
    )
    return Line(series, curve(_points(told.quantiles_ns, scale), BOX), marks)


def _points(quantiles_ns: Sequence[float], scale: Scale) -> list[Point | None]:
    """What lies beyond the axis stays beyond it: the chart's box cuts it off."""
    return [
        (min((ns / 1e6 - scale.low) / (scale.high - scale.low), 2.0), 1 - p)
        for ns, p in zip(quantiles_ns, PROBABILITIES, strict=True)
    ]

"""A row of one run's percentiles on an axis that all rows of a table share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .latency import LIMIT_FAR
from .scale import Scale, Tick


@dataclass(frozen=True)
class Percentiles:
    """In nanoseconds."""

    p50: float
    p90: float
    p99: float
    bound: float | None
    """That p99 does not pass with 99 % confidence; None: not known."""


@dataclass(frozen=True)
class PercentileRow:
    """Percent across; ``bound`` and ``limit`` None where there is nothing to draw."""

    p50: float
    p90: float
    p99: float
    bound: float | None
    limit: float | None

    @property
    def range(self) -> float:
        """From the median to p99."""
        return round(self.p99 - self.p50, 2)

    @property
    def whisker(self) -> float:
        """From p99 to what bounds it; 0 where that is less by the two clocks."""
        return round(max((self.bound or 0.0) - self.p99, 0.0), 2)


@dataclass(frozen=True)
class PercentileAxis:
    scale: Scale
    limit: float | None
    ticks: tuple[Tick, ...]

    def row(self, told: Percentiles) -> PercentileRow:
        at = self.scale.percent
        return PercentileRow(
            at(told.p50),
            at(told.p90),
            at(told.p99),
            None if told.bound is None else at(told.bound),
            self.limit,
        )


def percentile_axis(rows: Sequence[Percentiles], limit_ns: float | None) -> PercentileAxis:
    """From 0 over all rows, and the limit where it is not far off."""
    widest = max((max(row.p99, row.bound or 0.0) for row in rows), default=0.0) or 1.0
    near = limit_ns is not None and limit_ns <= LIMIT_FAR * widest
    scale = Scale(0.0, max(widest, limit_ns if near and limit_ns else 0.0) * 1.04)
    limit = scale.percent(limit_ns) if near and limit_ns else None
    return PercentileAxis(scale, limit, Scale(0.0, scale.high / 1e6).ticks(4))

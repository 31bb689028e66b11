"""How one figure is spread over many hosts, with the hosts that stand out marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .scale import Scale, Tick, scale_over

FEWEST_BINS = 10
MOST_BINS = 40


@dataclass(frozen=True)
class Bin:
    """From ``low`` to ``high`` with so many hosts; place and size in percent of the chart."""

    low: float
    high: float
    hosts: int
    x: float
    width: float
    height: float


@dataclass(frozen=True)
class MarkedHost:
    x: float
    label: str


@dataclass(frozen=True)
class Histogram:
    bins: tuple[Bin, ...]
    ticks: tuple[Tick, ...]
    most: int
    """Hosts of the highest bin."""
    marked: tuple[MarkedHost, ...]


def histogram(values: Sequence[float], marked: Mapping[str, float]) -> Histogram:
    """Of at least one value. ``marked``: name to value, drawn over the bins."""
    scale = scale_over([*values, *marked.values()], from_zero=False, room=0.02)
    count = min(max(FEWEST_BINS, round(2 * math.sqrt(len(values)))), MOST_BINS)
    step = (scale.high - scale.low) / count
    hosts = [0] * count
    for value in values:
        hosts[min(int((value - scale.low) / step), count - 1)] += 1
    most = max(hosts)
    return Histogram(
        bins=tuple(_bin(scale, step, index, number, most) for index, number in enumerate(hosts)),
        ticks=scale.ticks(5),
        most=most,
        marked=tuple(MarkedHost(scale.percent(value), name) for name, value in marked.items()),
    )


def _bin(scale: Scale, step: float, index: int, hosts: int, most: int) -> Bin:
    low = scale.low + index * step
    x = scale.percent(low)
    return Bin(low, low + step, hosts, x, round(scale.percent(low + step) - x, 2),
               round(hosts / most * 100, 2))  # fmt: skip

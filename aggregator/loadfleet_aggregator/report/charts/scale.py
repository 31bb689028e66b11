"""Where a value stands on an axis, and which values an axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TIME_STEPS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    21_600,
    43_200,
)
DAY_S = 86_400


@dataclass(frozen=True)
class Tick:
    """A named place on an axis."""

    at: float
    """Percent of the axis, 0 to 100."""
    label: str


@dataclass(frozen=True)
class Scale:
    """A linear axis from ``low`` to ``high``, which are not equal."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """0 to 100 with two digits; what is outside stands at the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * 100, 2)

    def ticks(self, about: int = 4) -> tuple[Tick, ...]:
        """Round values within the axis, ``about`` so many."""
        step = _round_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        digits += int(step * 10**digits % 1 > 0)
        return tuple(
            Tick(self.percent(n * step), f"{n * step:,.{digits}f}") for n in range(first, last + 1)
        )


def scale_over(values: Iterable[float], *, from_zero: bool, room: float = 0.06) -> Scale:
    """An axis over the values with some room; without values from 0 to 1.

    ``from_zero``: begins at 0, as lengths that are compared must.
    """
    known = list(values)
    low = 0.0 if from_zero else min(known, default=0.0)
    high = max(known, default=1.0)
    if high <= low:
        most = max(1.0, abs(low) * 1e-6)  # of a large number 1 more is the same number
        return Scale(low if from_zero else low - most, low + most)
    more = (high - low) * room
    return Scale(low if from_zero else low - more, high + more)


def time_ticks(start: datetime, seconds: float, about: int = 6) -> tuple[Tick, ...]:
    """Round times of day in UTC on an axis that begins at ``start``."""
    step = next((s for s in TIME_STEPS_S if seconds / s <= about), DAY_S)
    start = start.astimezone(UTC)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    into = (start - midnight).total_seconds()
    found = []
    number = math.ceil(into / step)
    while number * step - into <= seconds:
        time = midnight + timedelta(seconds=number * step)
        form = "%H:%M:%S" if step < 60 else "%H:%M"
        found.append(Tick(round((number * step - into) / seconds * 100, 2), f"{time:{form}}"))
        number += 1
    return tuple(found)


def _round_step(least: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))

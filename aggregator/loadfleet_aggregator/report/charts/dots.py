"""Values of many hosts as dots on one line, beside the pooled value and the least that passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .scale import Scale, Tick, scale_over


@dataclass(frozen=True)
class Dot:
    x: float
    label: str


@dataclass(frozen=True)
class DotRow:
    """Percent across; ``least`` None where no value is asked for."""

    dots: tuple[Dot, ...]
    pooled: float | None
    least: float | None


@dataclass(frozen=True)
class DotAxis:
    """One axis for several rows, of values less what each row counts from."""

    scale: Scale
    ticks: tuple[Tick, ...]

    def row(
        self, values: Sequence[tuple[str, float]], pooled: float | None, least: float | None
    ) -> DotRow:
        """``least``: what the values are told against; None: they stand for themselves."""
        start = least or 0.0
        return DotRow(
            tuple(Dot(self.scale.percent(v - start), f"{name}: {v:.4f}") for name, v in values),
            None if pooled is None else self.scale.percent(pooled - start),
            None if least is None else self.scale.percent(0.0),
        )


def dot_axis(values: Sequence[float], *, margins: bool) -> DotAxis:
    """``margins``: the values are distances from the least that passes, and 0 is on the axis."""
    scale = scale_over([*values, *([0.0] if margins else [])], from_zero=not margins, room=0.08)
    return DotAxis(scale, scale.ticks(4))

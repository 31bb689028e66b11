"""What only runs on GPUs have: their distance from the physical limit, energy and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...text.figures import NO_VALUE
from ..charts.scale import Scale
from ..model import FleetReport, HostReport, PhaseReport
from .listing import Listed, Range, listed, value_range
from .standing import PlacedHost


@dataclass(frozen=True)
class LimitRow:
    """A run on GPUs; percent of the chart's width."""

    host: PlacedHost
    run: PhaseReport
    bar: float
    track: float
    """Where the limit is."""
    expected: tuple[float, float] | None
    """Where the expected share begins, and its width."""

    @property
    def expected_text(self) -> str:
        if self.run.limit is None or self.run.limit.expected is None:
            return NO_VALUE
        low, high = self.run.limit.expected
        return f"{low * 100:.0f}{NO_VALUE}{high * 100:.0f} %"


@dataclass(frozen=True)
class GpuView:
    limits: Listed[LimitRow]
    reached: Range | None
    """Over all hosts where not all are listed."""
    above: bool
    """A run did more than its GPUs can."""
    energy: Listed[tuple[PlacedHost, PhaseReport]]
    joules_per_token: Range | None
    priced: bool
    prices: tuple[str, ...]


def gpu_view(report: FleetReport, placed: Sequence[PlacedHost]) -> GpuView:
    limited = [p.limit for host in report.hosts for p in host.phases if p.limit]
    axis = Scale(0.0, max([1.0, *(limit.reached for limit in limited)]))
    limits = listed(
        placed,
        lambda host: [_limit(host, p, axis) for p in host.host.phases if p.limit or p.no_limit],
    )
    energy = listed(placed, lambda host: [(host, p) for p in host.host.phases if _powered(p)])
    powered = [p for host in report.hosts for p in host.phases if _powered(p)]
    joules = [
        p.energy.joules_per_output_token
        for p in powered
        if p.energy and p.energy.joules_per_output_token is not None
    ]
    return GpuView(
        limits=limits,
        reached=value_range([limit.reached for limit in limited]) if limits.left_out else None,
        above=any(limit.reached > 1 for limit in limited),
        energy=energy,
        joules_per_token=value_range(joules) if energy.left_out else None,
        priced=any(p.cost for p in powered),
        prices=tuple(_prices(report.hosts)),
    )


def _powered(run: PhaseReport) -> bool:
    return bool(run.energy or run.cost)


def _limit(host: PlacedHost, run: PhaseReport, axis: Scale) -> LimitRow:
    if run.limit is None:
        return LimitRow(host, run, 0.0, axis.percent(1.0), None)
    expected = None
    if run.limit.expected:
        low, high = (axis.percent(share) for share in run.limit.expected)
        expected = (low, round(high - low, 2))
    return LimitRow(host, run, axis.percent(run.limit.reached), axis.percent(1.0), expected)


def _prices(hosts: Sequence[HostReport]) -> list[str]:
    """The prices that were reckoned with, with the hosts where they are not all the same."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        for run in host.phases:
            if run.cost is None:
                continue
            prices = run.cost.prices
            parts = [
                f"{price:g} per {unit}"
                for price, unit in ((prices.per_gpu_hour, "GPU-hour"), (prices.per_kwh, "kWh"))
                if price is not None
            ]
            names = found.setdefault(" and ".join(parts), [])
            if host.name not in names:
                names.append(host.name)
    if len(found) == 1:
        return list(found)
    return [f"{text} on {', '.join(names)}" for text, names in found.items()]

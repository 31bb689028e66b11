"""Throughput of one scenario by host, and what the hosts did together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadfleet_agent.contract.benchmark import Scenario

from ...text.figures import NO_VALUE, number, signed_share
from ..charts.histogram import Histogram, histogram
from ..charts.scale import Scale
from ..model import FleetReport, HostThroughput, ScenarioReport
from ..shown import percent, seconds, utc
from .counted import GroupDoubt, group_doubt, why_not_in
from .listing import ALL_LISTED, Listed, Range, listed, value_range
from .standing import PlacedHost

MOST_MARKED = 40
"""Hosts that a histogram marks."""


@dataclass(frozen=True)
class ThroughputRow:
    host: PlacedHost
    speed: HostThroughput
    bar: float
    """Percent of the fastest host's."""
    why_not: str
    """Why the speed does not count, or ''."""


@dataclass(frozen=True)
class ThroughputView:
    title: str
    scenario: ScenarioReport
    rows: Listed[ThroughputRow]
    fleet: Range | None
    """Tokens/s of the valid hosts where not all are listed."""
    histogram: Histogram | None
    together: tuple[tuple[str, str, bool], ...]
    """What is told of the hosts at one time: name, value, and whether it is a speed of theirs."""
    doubt: GroupDoubt
    """Of the sum."""


def throughput_views(
    report: FleetReport, placed: Sequence[PlacedHost]
) -> tuple[ThroughputView, ...]:
    """One for each scenario and group."""
    by_name = {host.name: host for host in placed}
    groups = len({scenario.group for scenario in report.scenarios})
    return tuple(_view(scenario, placed, by_name, groups) for scenario in report.scenarios)


def _view(
    scenario: ScenarioReport,
    placed: Sequence[PlacedHost],
    by_name: Mapping[str, PlacedHost],
    groups: int,
) -> ThroughputView:
    speeds = {host.host: host for host in scenario.hosts}
    axis = Scale(0.0, max((h.tokens_per_second for h in scenario.hosts), default=0.0) or 1.0)
    # The slowest first, as hosts that want a look may be fast in this scenario.
    ordered = sorted(
        (by_name[name] for name in speeds), key=lambda host: speeds[host.name].tokens_per_second
    )
    rows = listed(
        ordered,
        lambda host: [_row(host, speeds[host.name], axis, scenario.scenario)],
    )
    valid = [host.tokens_per_second for host in scenario.hosts if host.valid]
    many = len(scenario.hosts) > ALL_LISTED
    marked = [
        host for host in placed if host.name in speeds and host.standing.wants_a_look
    ][:MOST_MARKED] if many else []  # fmt: skip
    return ThroughputView(
        title=scenario.scenario.value + (f", group {scenario.group}" if groups > 1 else ""),
        scenario=scenario,
        rows=rows,
        fleet=value_range(valid) if many else None,
        histogram=histogram(
            [host.tokens_per_second for host in scenario.hosts],
            {host.name: speeds[host.name].tokens_per_second for host in marked},
        )
        if many
        else None,
        together=_together(scenario),
        doubt=group_doubt(scenario, {name: placed.host for name, placed in by_name.items()}),
    )


def _row(host: PlacedHost, speed: HostThroughput, axis: Scale, scenario: Scenario) -> ThroughputRow:
    reason = "" if speed.valid else why_not_in(host.host, scenario)
    return ThroughputRow(host, speed, axis.percent(speed.tokens_per_second), reason)


def _together(scenario: ScenarioReport) -> tuple[tuple[str, str, bool], ...]:
    joint = scenario.joint
    if joint is None:
        return ()
    return (
        ("hosts", f"{joint.hosts:,}, {'' if joint.synchronised else 'not '}started together",
         False),
        ("common window", f"{utc(joint.window_start_utc)} to {utc(joint.window_end_utc)}"
         if joint.tokens_per_second is not None else "none", False),
        ("tokens/s in the common window", number(joint.tokens_per_second, 2), True),
        ("samples/s in the common window", number(joint.samples_per_second, 3), True),
        ("sum of the hosts' own tokens/s", number(scenario.aggregate_tokens_per_second, 2), True),
        ("common window against the sum", _against_sum(scenario), False),
        ("from first start to last end", seconds(joint.makespan_s), False),
        ("all tokens over that time", f"{number(joint.makespan_tokens_per_second, 2)} tokens/s",
         True),
        ("first start to last start", seconds(joint.start_skew_s), False),
        ("clocks known to within", seconds(joint.clock_error_s), False),
        ("imbalance", percent(joint.imbalance), False),
    )  # fmt: skip


def _against_sum(scenario: ScenarioReport) -> str:
    joint, whole = scenario.joint, scenario.aggregate_tokens_per_second
    if joint is None or joint.tokens_per_second is None or not whole:
        return NO_VALUE
    return signed_share(joint.tokens_per_second / whole - 1)

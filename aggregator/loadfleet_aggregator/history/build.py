"""Puts the runs of a fleet into series of what can be compared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadfleet_agent.contract.benchmark import Scenario

from ..compare.change import fleet_change, host_change
from ..compare.changed import changed_values
from ..identity import Identity, host_identity
from ..report.metric import Metric, result_metric
from ..report.model import FleetReport, HostReport
from ..report.performance import counts, performance_runs
from .model import History, HistoryPoint, HistorySeries, SkippedRun


@dataclass
class _Series:
    """A series as it grows."""

    scenario: Scenario
    identity: Identity
    last: FleetReport
    points: list[HistoryPoint] = field(default_factory=list)


def build_history(
    reports: Sequence[FleetReport],
    skipped: Sequence[SkippedRun] = (),
    *,
    scenario: Scenario | None = None,
    host: str | None = None,
) -> History:
    """Of these reports, in the order of their time; of one scenario or host where it is named."""
    series: list[_Series] = []
    left_out = list(skipped)
    for report in sorted(reports, key=lambda item: (item.created_utc, item.run_id)):
        added = [
            _add(series, report, one, identity, host)
            for one in ([scenario] if scenario else Scenario)
            for identity in _identities(report)
        ]
        if not any(added):
            of_what = " ".join(filter(None, [scenario, f"on {host}" if host else ""]))
            reason = f"no valid performance run{f' of {of_what}' if of_what else ''}"
            left_out.append(SkippedRun(folder=report.run_id, reason=reason))
    order = list(Scenario)
    return History(
        host=host,
        series=tuple(
            HistorySeries(
                scenario=item.scenario,
                metric=result_metric(item.scenario),
                identity=item.identity,
                points=tuple(item.points),
            )
            for item in sorted(
                series, key=lambda item: (order.index(item.scenario), item.points[0].created_utc)
            )
        ),
        skipped=tuple(left_out),
    )


def _identities(report: FleetReport) -> list[Identity]:
    """What the hosts of a run ran; one for all in most runs."""
    found: list[Identity] = []
    for host in report.hosts:
        identity = host_identity(host, report)
        if identity and not any(identity.matches(known) for known in found):
            found.append(identity)
    return found


def _add(
    series: list[_Series],
    report: FleetReport,
    scenario: Scenario,
    identity: Identity,
    only: str | None,
) -> bool:
    """Puts a run's point into the series that it belongs to, or into a new one."""
    metric = result_metric(scenario)
    expected = [
        host
        for host in report.hosts
        if only in (None, host.name) and _was_to_run(host, report, scenario, identity)
    ]
    values = {
        host.name: value
        for host in expected
        if (phase := performance_runs(host).get(scenario))
        and counts(host, phase)
        and (value := metric.of(phase))
    }
    if not values:
        return False
    found = next(
        (s for s in series if s.scenario is scenario and s.identity.matches(identity)), None
    )
    before = found.points[-1] if found else None
    point = _point(report, found.last if found else None, before, metric, expected, values)
    if found is None:
        found = _Series(scenario, identity, report)
        series.append(found)
    found.points.append(point)
    found.last = report
    return True


def _was_to_run(
    host: HostReport, report: FleetReport, scenario: Scenario, identity: Identity
) -> bool:
    """Whether a host was selected for the scenario. One that told nothing counts everywhere."""
    if host.group is None:
        return False
    ran = host_identity(host, report)
    if ran is not None and not ran.matches(identity):
        return False
    planned = report.plans.get(host.group, {}).get("scenarios")
    if not isinstance(planned, list):
        return True
    return any(isinstance(one, dict) and one.get("scenario") == scenario for one in planned)


def _point(
    report: FleetReport,
    last: FleetReport | None,
    before: HistoryPoint | None,
    metric: Metric,
    expected: list[HostReport],
    values: dict[str, float],
) -> HistoryPoint:
    names = {host.name for host in expected}
    earlier = set(before.expected) if before else names
    known = before.values if before else {}
    change = fleet_change(
        metric,
        [host_change(name, (known[name],), (values[name],)) for name in values if name in known],
    )
    adds_up = (
        metric is Metric.TOKENS_PER_SECOND
        and len(values) == len(expected)
        and not any(names & set(host.shares_machine_with) for host in expected)
        # Hosts with other settings are no fleet of one kind, also where they ran the same model.
        and len({host.group for host in expected}) == 1
    )
    interval = change.interval
    changed = [
        item.model_copy(update={"hosts": tuple(name for name in item.hosts if name in names)})
        for item in (changed_values(last, report) if last else ())
    ]
    return HistoryPoint(
        run_id=report.run_id,
        created_utc=report.created_utc,
        values=dict(sorted(values.items())),
        expected=tuple(sorted(names)),
        total=sum(values.values()) if adds_up else None,
        median=statistics.median(values.values()),
        ratio=change.ratio,
        interval=interval,
        moved=interval is not None and not interval.low <= 1 <= interval.high,
        joined=tuple(sorted(names - earlier)),
        left=tuple(sorted(earlier - names)),
        changed=tuple(item for item in changed if item.hosts),
    )

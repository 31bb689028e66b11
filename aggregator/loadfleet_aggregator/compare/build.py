"""Compares two runs. The same two reports give the same comparison."""

from __future__ import annotations

from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.result import Accuracy

from ..identity import host_identity
from ..report.metric import Metric, result_metric
from ..report.model import FleetReport, HostReport, PhaseReport
from ..report.performance import counts, performance_runs
from ..text import figures
from ..text.listing import some
from ..verdict import VerdictKind
from .change import fleet_change, host_change, judge, limit_ratio
from .changed import changed_values
from .model import (
    AccuracyChange,
    Comparison,
    Finding,
    FleetChange,
    HostPresence,
    Outcome,
    RunName,
    ScenarioComparison,
)

DEFAULT_ALLOWED_LOSS = 0.03
SHOWN = (Metric.TTFT_P99, Metric.TPOT_P99)


class Incomparable(Exception):
    """Why nothing that the two runs measured can be compared."""


def compare_runs(
    old: FleetReport, new: FleetReport, allowed_loss: float = DEFAULT_ALLOWED_LOSS
) -> Comparison:
    """What changed from ``old`` to ``new``, and whether a loss is beyond the allowed share.

    Fails where the whole 95 % interval of a scenario's change is beyond it, where a host that was
    ok is not any more, or where an accuracy that passed does not any more. Raises Incomparable.
    """
    _require_comparable(old, new)
    before, after = _performed(old), _performed(new)
    both = [scenario for scenario in Scenario if scenario in before and scenario in after]
    scenarios = tuple(_compare_scenario(scenario, old, new, allowed_loss) for scenario in both)
    only_in_old = tuple(s for s in Scenario if s in before and s not in after)
    hosts = _presence(old, new)
    accuracy = _accuracy(old, new)
    findings = _findings(scenarios, only_in_old, hosts, accuracy)
    outcome = findings[0].outcome if findings else Outcome.PASS
    return Comparison(
        old=_run_name(old),
        new=_run_name(new),
        allowed_loss=allowed_loss,
        outcome=outcome,
        headline=_headline(outcome, findings, scenarios),
        findings=findings,
        statement=new.statement,
        scenarios=scenarios,
        only_in_old=only_in_old,
        only_in_new=tuple(s for s in Scenario if s in after and s not in before),
        accuracy=accuracy,
        hosts=hosts,
        changed=changed_values(old, new),
    )


# Comparing like with like.


def _require_comparable(old: FleetReport, new: FleetReport) -> None:
    before = {host.name: host_identity(host, old) for host in old.hosts}
    after = {host.name: host_identity(host, new) for host in new.hosts}
    known = [(name, was, now) for name, was in before.items() if was and (now := after.get(name))]
    for name, was, now in known:
        if reason := was.difference(now):
            raise Incomparable(f"{name} ran {reason}")
    if not known:
        # No host told in both. What the runs are of is told by any host of each.
        olds, news = ([one for one in ran.values() if one] for ran in (before, after))
        if olds and news and not any(was.matches(now) for was in olds for now in news):
            raise Incomparable(f"they ran {olds[0].difference(news[0])}")
    scenarios = _performed(old), _performed(new)
    if all(scenarios) and not scenarios[0] & scenarios[1]:
        names = [", ".join(s for s in Scenario if s in found) for found in scenarios]
        raise Incomparable(f"they have no scenario in common: {names[0]} and {names[1]}")


def _performed(report: FleetReport) -> set[Scenario]:
    """Scenarios of which any host completed a performance run, valid or not."""
    return {scenario for host in report.hosts for scenario in performance_runs(host)}


# Scenarios.


def _compare_scenario(
    scenario: Scenario, old: FleetReport, new: FleetReport, allowed_loss: float
) -> ScenarioComparison:
    before, after = _valid_runs(old, scenario), _valid_runs(new, scenario)
    names = sorted(before.keys() & after.keys())
    metric = result_metric(scenario)
    result = _change(metric, names, before, after)
    outcome = judge(result, allowed_loss)
    shown = (_change(item, names, before, after) for item in SHOWN)
    return ScenarioComparison(
        scenario=scenario,
        result=result,
        limit_ratio=limit_ratio(metric, allowed_loss),
        outcome=outcome,
        reason=_reason(outcome, result, allowed_loss),
        shown=tuple(item for item in shown if item.hosts),
        notes=tuple(_notes(old, new, before, after)),
    )


def _valid_runs(report: FleetReport, scenario: Scenario) -> dict[str, PhaseReport]:
    """Host to its valid performance run of the scenario."""
    return {
        host.name: phase
        for host in report.hosts
        if (phase := performance_runs(host).get(scenario)) and counts(host, phase)
    }


def _change(
    metric: Metric, names: list[str], before: dict[str, PhaseReport], after: dict[str, PhaseReport]
) -> FleetChange:
    measured = ((name, metric.of(before[name]), metric.of(after[name])) for name in names)
    return fleet_change(
        metric, [host_change(name, (was,), (now,)) for name, was, now in measured if was and now]
    )


def _reason(outcome: Outcome, change: FleetChange, allowed_loss: float) -> str:
    allowed = f"the allowed loss of {figures.share(allowed_loss)}"
    if not change.hosts:
        return "no host has a valid run of it in both"
    if change.interval is None:
        return (
            "one host with one run in each: how far the next run would lie from it is not known, "
            "so there is no interval"
        )
    if outcome is Outcome.FAIL:
        return f"the whole interval is beyond {allowed}"
    if outcome is Outcome.PASS:
        return f"no part of the interval is beyond {allowed}"
    return f"the interval includes {allowed}: more hosts make it narrower"


def _notes(
    old: FleetReport,
    new: FleetReport,
    before: dict[str, PhaseReport],
    after: dict[str, PhaseReport],
) -> list[str]:
    names = sorted(before.keys() & after.keys())
    sharing = {
        host.name
        for report in (old, new)
        for host in report.hosts
        if host.name in names and host.shares_machine_with
    }
    notes = []
    groups = {host.group for host in new.hosts if host.name in names}
    if len(groups) > 1:
        told = ", ".join(sorted(filter(None, groups)))
        notes.append(
            f"hosts of the groups {told} ran different plans, so their speeds are not comparable "
            "with one another: each is held against itself, and the means say nothing by themselves"
        )
    if sharing:
        notes.append(
            f"{', '.join(sorted(sharing))} share a machine, so they take from each other and "
            "change together: the interval is narrower than it should be"
        )
    for runs, others, where in ((before, after, "new"), (after, before, "old")):
        if alone := sorted(runs.keys() - others.keys()):
            notes.append(f"not compared, for the {where} run has no valid run of it: {some(alone)}")
    rates = [
        f"{name} {was:g} and {now:g}"
        for name in names
        if (was := before[name].target_qps) and (now := after[name].target_qps) and was != now
    ]
    if rates and before[names[0]].scenario.paced:
        notes.append(
            "LoadGen sent at another rate, and the tokens/s follow it; queries/s in the old and "
            f"the new run: {some(rates)}"
        )
    return notes


# Hosts and accuracy.


def _presence(old: FleetReport, new: FleetReport) -> tuple[HostPresence, ...]:
    before = {host.name: host.verdict for host in old.hosts}
    after = {host.name: host.verdict for host in new.hosts}
    return tuple(
        HostPresence(
            host=name,
            old=(was := before.get(name)),
            new=(now := after.get(name)),
            lost=was is not None
            and was.kind is VerdictKind.OK
            and (now is None or now.kind is not VerdictKind.OK),
        )
        for name in sorted(before.keys() | after.keys())
    )


def _accuracy(old: FleetReport, new: FleetReport) -> tuple[AccuracyChange, ...]:
    after = {host.name: host for host in new.hosts}
    found = []
    for host in old.hosts:
        other = after.get(host.name)
        if other is None:
            continue
        for scenario in Scenario:
            was, now = _score(host, scenario), _score(other, scenario)
            if was or now:
                found.append(
                    AccuracyChange(
                        host=host.name,
                        scenario=scenario,
                        old=_against_targets(was),
                        new=_against_targets(now),
                        lost=bool(was and was.passed) and not (now and now.passed),
                    )
                )
    return tuple(found)


def _score(host: HostReport, scenario: Scenario) -> Accuracy | None:
    return next((item for item in host.accuracy if item.scenario is scenario), None)


def _against_targets(item: Accuracy | None) -> str:
    if item is None:
        return "not measured"
    return "passed" if item.passed else item.reason or "below its target"


# The outcome.


def _findings(
    scenarios: tuple[ScenarioComparison, ...],
    only_in_old: tuple[Scenario, ...],
    hosts: tuple[HostPresence, ...],
    accuracy: tuple[AccuracyChange, ...],
) -> tuple[Finding, ...]:
    """Everything that keeps the comparison from passing, failures first."""
    found = []
    for item in scenarios:
        if item.outcome is not Outcome.PASS:
            found.append(Finding(outcome=item.outcome, what=f"{change_text(item)}: {item.reason}"))
    lost = {item.host for item in hosts if item.lost}
    for host in hosts:
        if host.lost:
            found.append(Finding(outcome=Outcome.FAIL, what=host.loss))
    for score in accuracy:
        # Of a lost host the verdict has said it, or the host did not come so far.
        if score.lost and score.host not in lost:
            found.append(
                Finding(
                    # What was not measured may be as good as before.
                    outcome=Outcome.INCONCLUSIVE if score.new == "not measured" else Outcome.FAIL,
                    what=f"{score.host} {score.scenario} accuracy passed, is {score.new}",
                )
            )
    for scenario in only_in_old:
        found.append(
            Finding(outcome=Outcome.INCONCLUSIVE, what=f"{scenario} is not in the new run")
        )
    if not scenarios and not only_in_old:
        found.append(Finding(outcome=Outcome.INCONCLUSIVE, what="no scenario has runs in both"))
    return tuple(sorted(found, key=lambda item: item.outcome is not Outcome.FAIL))


def change_text(item: ScenarioComparison) -> str:
    """A scenario's change in one line."""
    change = item.result
    name = f"{item.scenario} {change.metric.label}"
    if change.ratio is None:
        return name
    count = f"on {len(change.hosts)} host{'s' if len(change.hosts) != 1 else ''}"
    interval = (
        f" (95 % interval {figures.change_range(change.interval)})" if change.interval else ""
    )
    return f"{name} {figures.change(change.ratio)} {count}{interval}"


def _headline(
    outcome: Outcome, findings: tuple[Finding, ...], scenarios: tuple[ScenarioComparison, ...]
) -> str:
    if not findings:
        return f"{outcome}: {'; '.join(map(change_text, scenarios))}"
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{outcome}: {findings[0].what}{more}"


def _run_name(report: FleetReport) -> RunName:
    return RunName(run_id=report.run_id, created_utc=report.created_utc, headline=report.headline)

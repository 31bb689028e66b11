"""Builds the report from a run's folder on the controller. Same folder, same report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.plan import RunPlan

from ..evaluation.fleet import ToldEvaluation, fleet_evaluations, missed_by
from ..fleet.prices import Prices
from ..fleet.record import HostRecord, RunRecord, read_plan, read_record
from ..samples.agreement import AnswerStore, Book, find_agreements
from ..samples.model import Agreement
from ..scaling.fill import Work, with_joint
from ..stragglers.clock import TOLERANCE_S
from ..stragglers.evidence import Evidence
from ..stragglers.find import find_flags, worst_first
from ..stragglers.model import Flag, FleetFinding, Speed
from ..timeline.build import build_timelines
from ..timeline.trace import Trace
from ..verdict import Verdict, VerdictKind
from .accuracy import pooled_accuracy
from .definitions import definitions
from .groups import host_groups, hosts_that_share
from .host import HostReading
from .model import Coverage, FleetReport, HostReport, ScenarioReport
from .read_hosts import read_hosts
from .scenarios import scenario_reports
from .told import differences

EVALUATION_HINT = "the engine's settings or weights cost accuracy: docs/mmlu.md"


@dataclass(frozen=True)
class _Fleet:
    """What all hosts told, by name."""

    hosts: dict[str, HostReport]
    facts: dict[str, HostFacts | None]
    speeds: dict[str, tuple[Speed, ...]]
    evidence: dict[str, Evidence]
    traces: dict[str, tuple[Trace, ...]]
    clocks: dict[str, float]
    """By how many seconds each is wrong at the least."""
    work: dict[str, Work]
    evaluations: list[ToldEvaluation]
    agreement: tuple[Agreement, ...]


def build_report(folder: Path, prices: Prices | None = None) -> FleetReport:
    """Reads run.json and every host's folder. Raises InventoryError if run.json is unusable.

    ``prices`` replace those of each host in run.json.
    """
    record = read_record(folder)
    groups = host_groups(record)
    fleet = _gather(read_hosts(folder, record, groups, prices or Prices()))
    sharing = hosts_that_share(fleet.facts)
    wrong = {name: off for name, off in fleet.clocks.items() if off > TOLERANCE_S}
    unknown = {name: off for name, off in wrong.items() if fleet.hosts[name].clock_offset_s is None}
    axis, timelines = build_timelines(fleet.traces, unknown)
    plans = _shared_plans(folder, groups)
    evaluations = fleet_evaluations(fleet.evaluations, plans)
    hosts = tuple(
        _judged(host, missed_by(name, evaluations)).model_copy(
            update={"shares_machine_with": sharing[name], "timeline": timelines.get(name)}
        )
        for name, host in fleet.hosts.items()
    )
    labels = tuple(dict.fromkeys(label for host in hosts for label in host.labels))
    coverage = _coverage(record, hosts)
    ended = [phase.ended_utc for h in hosts if h.name not in wrong for phase in h.phases]
    scenarios = with_joint(scenario_reports(hosts), fleet.work)
    flags, fleet_findings = _flags(hosts, fleet)
    return FleetReport(
        run_id=record.run_id,
        created_utc=record.created_utc,
        ended_utc=max(ended, default=None),
        headline=_headline(coverage, scenarios, flags),
        labels=labels,
        statement=_statement(labels, any(host.phases for host in hosts), bool(evaluations)),
        coverage=coverage,
        hosts=hosts,
        scenarios=scenarios,
        pooled_accuracy=pooled_accuracy(hosts, plans),
        agreement=fleet.agreement,
        evaluations=evaluations,
        axis=axis,
        flags=flags,
        fleet_findings=fleet_findings,
        differences=tuple(differences(hosts, plans)),
        plans=plans,
        definitions=definitions(gpus=_used_gpus(hosts), evaluations=bool(evaluations)),
    )


def _gather(readings: Iterable[HostReading]) -> _Fleet:
    """Takes the hosts one by one, in the order of their names."""
    fleet = _Fleet({}, {}, {}, {}, {}, {}, {}, [], ())
    with AnswerStore() as store:
        for reading in readings:
            host = reading.report
            fleet.hosts[host.name] = host
            fleet.facts[host.name] = reading.facts
            fleet.speeds[host.name] = reading.speeds
            fleet.evidence[host.name] = reading.evidence
            fleet.traces[host.name] = reading.traces
            fleet.clocks[host.name] = reading.clock_off_s
            fleet.work[host.name] = reading.work
            fleet.evaluations.extend(reading.evaluations)
            for scenario, answers in reading.answers.items():
                if host.group is not None and host.dataset is not None:
                    book = Book(host.group, scenario, host.dataset.library_sha256)
                    store.add(book, host.name, answers)
        return replace(fleet, agreement=find_agreements(store))


def _judged(host: HostReport, missed: list[str]) -> HostReport:
    """The host with what its evaluations say of its speed."""
    if not missed:
        return host
    verdict = host.verdict
    if verdict.kind.finished:
        reason = "; ".join(filter(None, [verdict.reason, *missed]))
        verdict = Verdict(kind=VerdictKind.NOT_VALID, reason=reason, hint=EVALUATION_HINT)
    return host.model_copy(update={"evaluations_missed": tuple(missed), "verdict": verdict})


def _shared_plans(folder: Path, groups: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Group to the plan that its hosts share, as far as one of them can be read."""
    plans: dict[str, dict[str, object]] = {}
    for name, group in groups.items():
        if group not in plans and (plan := read_plan(folder, name)) is not None:
            plans[group] = _shared_plan(plan)
    return dict(sorted(plans.items()))


def _flags(
    hosts: Sequence[HostReport], fleet: _Fleet
) -> tuple[tuple[Flag, ...], tuple[FleetFinding, ...]]:
    """Of each group by itself: other plans have other speeds."""
    flags: list[Flag] = []
    findings: list[FleetFinding] = []
    for group in sorted({host.group for host in hosts if host.group}):
        members = [host for host in hosts if host.group == group and host.phases]
        # Hosts on one machine take from each other: their speeds say nothing about them.
        speeds = {h.name: fleet.speeds[h.name] for h in members if not h.shares_machine_with}
        evidence = {host.name: fleet.evidence[host.name] for host in members}
        found, common = find_flags(speeds, evidence)
        flags += found
        findings += [finding.model_copy(update={"group": group}) for finding in common]
    return worst_first(flags), tuple(findings)


def _shared_plan(plan: RunPlan) -> dict[str, object]:
    """What the hosts of a group share."""
    return {key: value for key, value in plan.shared.items() if key != "schema_version"}


def _used_gpus(hosts: Sequence[HostReport]) -> bool:
    return any(phase.limit or phase.no_limit or phase.energy for h in hosts for phase in h.phases)


def _coverage(record: RunRecord, hosts: Sequence[HostReport]) -> Coverage:
    counts = {kind.value: 0 for kind in VerdictKind}
    for host in hosts:
        counts[host.verdict.kind.value] += 1
    return Coverage(inventory=len(record.hosts), selected=len(record.selected), counts=counts)


def _headline(
    coverage: Coverage, scenarios: Sequence[ScenarioReport], flags: Sequence[Flag]
) -> str:
    ok = coverage.counts[VerdictKind.OK.value]
    text = f"{ok} of {coverage.selected} hosts ok"
    for scenario in scenarios:
        if scenario.aggregate_tokens_per_second is not None:
            text += (
                f"; {scenario.scenario.value} {scenario.aggregate_tokens_per_second:,.1f} tokens/s"
                f" on {scenario.valid_hosts} host{'s' if scenario.valid_hosts != 1 else ''}"
            )
            if len({item.group for item in scenarios}) > 1:
                text += f" of group {scenario.group}"
    if flags:
        text += f"; worst: {flags[0].host}, {flags[0]}"
        if len(flags) > 1:
            text += f" (and {len(flags) - 1} more to look at)"
    return text


def _statement(labels: Sequence[str], measured: bool, evaluated: bool) -> str:
    if not measured and evaluated:
        return "No speed was measured; MMLU and its like are no part of MLPerf."
    if not measured:
        return "There is no number here: no host told one that can be shown."
    if labels:
        return (
            "None of these numbers is an MLPerf result or comparable to one: "
            + ", ".join(labels)
            + "."
        )
    return (
        "Runs of official length on MLPerf's dataset. Result not verified by MLCommons "
        "Association. A sum over hosts is aggregate capacity, never an MLPerf result."
    )


def finished_hosts(report: FleetReport) -> set[str]:
    """Names of the hosts that need no second look."""
    return {host.name for host in report.hosts if host.verdict.kind.finished}


def with_finished(record: RunRecord, report: FleetReport) -> RunRecord:
    """The record with its finished hosts marked, closed when all selected ones are."""
    done = finished_hosts(report)
    hosts: dict[str, HostRecord] = {
        name: host.model_copy(update={"finished": name in done})
        for name, host in record.hosts.items()
    }
    closed = all(hosts[name].finished for name in record.selected)
    return record.model_copy(update={"hosts": hosts, "closed": closed})

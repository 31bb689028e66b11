"""What a stranger wants to know in ten seconds: verdict, number, accuracy, worst host, MLPerf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from loadfleet_agent.contract.benchmark import Scenario

from ...samples.model import Agreement
from ...text.figures import milliseconds, number
from ...text.listing import some
from ..model import FleetReport, HostReport, PooledAccuracy, ScenarioReport
from ..performance import performance_runs
from ..shown import percent, seconds
from .counted import group_doubt
from .evaluations import summary
from .standing import PlacedHost, Standing

MOST_WORST = 3


class Outcome(StrEnum):
    """Of the whole run; PASS and ATTENTION are exit code 0, FAIL is 1."""

    PASS = "pass"
    ATTENTION = "attention"
    FAIL = "fail"


@dataclass(frozen=True)
class Figure:
    """The one number of a scenario."""

    title: str
    value: str
    unit: str
    note: str
    together: str
    """What the hosts did at one time, or ''."""
    struck: bool
    """It is not to be counted on: ``note`` says why."""


@dataclass(frozen=True)
class Answer:
    outcome: Outcome
    summary: str
    models: str
    """What was really loaded; '' where no host told."""
    figures: tuple[Figure, ...]
    accuracy: tuple[str, ...]
    accuracy_passed: bool | None
    """None: not measured, or MLPerf's targets mean nothing here."""
    worst: tuple[PlacedHost, ...]
    more: int
    """Hosts that want a look and are not among ``worst``."""


def find_answer(report: FleetReport, placed: Sequence[PlacedHost]) -> Answer:
    """From the report and its hosts, worst first."""
    wanting = [host for host in placed if host.standing.wants_a_look]
    broken = [host for host in wanting if host.standing is not Standing.LOOK]
    if broken or not report.all_ok:
        outcome = Outcome.FAIL
    elif wanting or report.fleet_findings:
        outcome = Outcome.ATTENTION
    else:
        outcome = Outcome.PASS
    passed, told = _accuracy(report)
    hosts = {host.name: host for host in report.hosts}
    # The one that is slow is named even where several failed.
    flagged = [host for host in wanting if host.standing is Standing.LOOK]
    worst = tuple([*broken[: MOST_WORST - len(flagged[:1])], *flagged][:MOST_WORST])
    return Answer(
        outcome=outcome,
        summary=_summary(report, placed),
        models=some(sorted({host.model.name for host in report.hosts if host.model}), 2),
        figures=tuple(_figure(report, hosts, scenario) for scenario in report.scenarios),
        accuracy=tuple(told),
        accuracy_passed=passed,
        worst=worst,
        more=len(wanting) - len(worst),
    )


def _summary(report: FleetReport, placed: Sequence[PlacedHost]) -> str:
    counts = report.coverage.counts
    selected = report.coverage.selected
    text = f"{counts.get('ok', 0):,} of {selected:,} host{'s' if selected != 1 else ''} ok"
    for standing in (
        Standing.FAILED,
        Standing.UNREACHABLE,
        Standing.MISSING,
        Standing.NOT_VALID,
    ):
        found = sum(host.standing is standing for host in placed)
        text += f", {found:,} {standing.value}" if found else ""
    look = sum(host.standing is Standing.LOOK for host in placed)
    text += f"; {look:,} of the ok ones flagged" if look else ""
    return text


def _figure(
    report: FleetReport, hosts: Mapping[str, HostReport], scenario: ScenarioReport
) -> Figure:
    title = scenario.scenario.value
    if _several(item.group for item in report.scenarios):
        title += f", group {scenario.group}"
    doubt = group_doubt(scenario, hosts)
    valid = [host for host in scenario.hosts if host.valid]
    unit, together = "tokens/s", ""
    if scenario.scenario is Scenario.SINGLE_STREAM:
        value, note = _single_stream(hosts, [host.host for host in valid or scenario.hosts])
        unit = "ms"
    elif scenario.aggregate_tokens_per_second is not None:
        value = number(scenario.aggregate_tokens_per_second)
        note = f"sum of {len(valid):,} valid hosts" if len(valid) > 1 else "on the one valid host"
        together = _together(scenario)
    else:
        speeds = [host.tokens_per_second for host in valid or scenario.hosts]
        low, high = number(min(speeds)), number(max(speeds))
        value = low if low == high else f"{low} to {high}"
        notes = ["by host"] if len(speeds) > 1 else []
        note = "; ".join([*notes, *(["no sum: they share a machine"] if valid else [])])
    note = "; ".join(filter(None, [note, doubt.note]))
    return Figure(title, value, unit, note, together, doubt.struck)


def _single_stream(hosts: Mapping[str, HostReport], counted: Sequence[str]) -> tuple[str, str]:
    """Value in ms and note, of the runs of these hosts."""
    latencies = [
        run.latency.percentiles["90.00"]
        for name in counted
        if (run := performance_runs(hosts[name]).get(Scenario.SINGLE_STREAM)) and run.latency
    ]
    note = "90th percentile of latency"
    if len(latencies) > 1:
        note += f", median of {len(latencies):,} hosts"
    return milliseconds(median(latencies) if latencies else None), note


def _together(scenario: ScenarioReport) -> str:
    joint = scenario.joint
    if joint is None:
        return ""
    if joint.tokens_per_second is None:
        return "their runs had no time in common"
    how = "started together" if joint.synchronised else "not started together"
    return (
        f"{number(joint.tokens_per_second)} at one time ({how}, "
        f"starts within {seconds(joint.start_skew_s)})"
    )


def _accuracy(report: FleetReport) -> tuple[bool | None, list[str]]:
    grouped = _several(item.group for item in report.evaluations)
    evaluated = [summary(item, grouped=grouped) for item in report.evaluations]
    if not any(host.accuracy for host in report.hosts):
        return _of_evaluations(report, None), evaluated or ["Not measured in this run"]
    items = [(host, item) for host in report.hosts for item in host.accuracy]
    missed = sorted({host.name for host, item in items if item.passed is False})
    judged = [item for _, item in items if item.passed is not None]
    passed = None if not judged else not missed
    told = []
    if missed:
        told.append(
            f"ROUGE target missed on {len(missed):,} of {len({h.name for h, _ in items}):,} hosts"
        )
    elif judged:
        told.append(f"ROUGE targets passed on all {len({h.name for h, _ in items}):,} hosts")
    else:
        told.append("ROUGE was measured, but MLPerf's targets mean nothing here")
    of = _several(item.group for item in report.pooled_accuracy)
    told += [f"{_of_group(item, of)}: {_pooled(item)}" for item in report.pooled_accuracy]
    # Of all hosts at once fewer answers are equal the more hosts there are.
    of = _several(item.group for item in report.agreement)
    told += [
        f"{_of_group(item, of)}: {_agreement(item)}"
        for item in report.agreement
        if item.samples and item.hosts
    ]
    told += evaluated
    return _of_evaluations(report, passed), told


def _of_evaluations(report: FleetReport, rouge: bool | None) -> bool | None:
    """Whether all that was judged passed; None if nothing was."""
    judged = [item.passed for item in report.evaluations if item.passed is not None]
    return rouge if not judged else all(judged) and rouge is not False


def _several(groups: Iterable[str]) -> bool:
    """Whether lines must name the group, to be told apart."""
    return len(set(groups)) > 1


def _of_group(item: PooledAccuracy | Agreement, grouped: bool) -> str:
    return item.scenario.value + (f", group {item.group}" if grouped else "")


def _agreement(item: Agreement) -> str:
    least = item.hosts[0].identical
    if least == 1:
        return "all hosts gave the same answers"
    return f"at least {percent(least, 2)} of a host's answers are those that most hosts gave"


def _pooled(item: PooledAccuracy) -> str:
    text = f"pooled ROUGE-L {item.score.rougeL:.2f}"
    if "rougeL" in item.margins:
        margin = item.margins["rougeL"]
        text += f", {abs(margin):.2f} {'over' if margin >= 0 else 'under'} the least that passes"
    return text

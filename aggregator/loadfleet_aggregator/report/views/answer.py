"""What a stranger wants to know in ten seconds: verdict, number, accuracy, worst host, MLPerf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from loadfleet_agent.contract.benchmark import Scenario

from ...samples.model import Agreement
from ...text.figures import milliseconds, number
from ...text.listing import some
from ..model import FleetReport, PooledAccuracy, ScenarioReport
from ..performance import performance_runs
from ..shown import percent, seconds
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
    struck: bool = False
    """No host's run counts."""


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
    # The one that is slow is named even where several failed.
    flagged = [host for host in wanting if host.standing is Standing.LOOK]
    worst = tuple([*broken[: MOST_WORST - len(flagged[:1])], *flagged][:MOST_WORST])
    return Answer(
        outcome=outcome,
        summary=_summary(report, placed),
        models=some(sorted({host.model.name for host in report.hosts if host.model}), 2),
        figures=tuple(_figure(report, scenario) for scenario in report.scenarios),
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


def _figure(report: FleetReport, scenario: ScenarioReport) -> Figure:
    title = scenario.scenario.value
    if len({item.group for item in report.scenarios}) > 1:
        title += f", group {scenario.group}"
    valid = [host for host in scenario.hosts if host.valid]
    if scenario.scenario is Scenario.SINGLE_STREAM:
        return _single_stream(report, scenario, title)
    if scenario.aggregate_tokens_per_second is not None:
        note = f"sum of {len(valid):,} valid hosts" if len(valid) > 1 else "on the one valid host"
        value = number(scenario.aggregate_tokens_per_second)
        return Figure(title, value, "tokens/s", note, _together(scenario))
    speeds = [host.tokens_per_second for host in valid or scenario.hosts]
    low, high = number(min(speeds)), number(max(speeds))
    note = "by host; " if len(speeds) > 1 else ""
    note += "no sum: they share a machine" if valid else "not valid"
    missed = {
        text
        for host in report.hosts
        if host.name in {item.host for item in scenario.hosts}
        for text in host.evaluations_missed
    }
    if not valid and missed:
        note += f": {some(sorted(missed))}"
    value = low if low == high else f"{low} to {high}"
    return Figure(title, value, "tokens/s", note, "", struck=not valid)


def _single_stream(report: FleetReport, scenario: ScenarioReport, title: str) -> Figure:
    counted = {host.host for host in scenario.hosts if host.valid} or {
        host.host for host in scenario.hosts
    }
    latencies = [
        run.latency.percentiles["90.00"]
        for host in report.hosts
        if host.name in counted
        and (run := performance_runs(host).get(Scenario.SINGLE_STREAM))
        and run.latency
    ]
    note = "90th percentile of latency"
    if len(latencies) > 1:
        note += f", median of {len(latencies):,} hosts"
    return Figure(title, milliseconds(median(latencies) if latencies else None), "ms", note, "")


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
    evaluated = [summary(item) for item in report.evaluations]
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
    told += [_pooled(item) for item in report.pooled_accuracy]
    # Of all hosts at once fewer answers are equal the more hosts there are.
    told += [_agreement(item) for item in report.agreement if item.samples and item.hosts]
    told += evaluated
    return _of_evaluations(report, passed), told


def _of_evaluations(report: FleetReport, rouge: bool | None) -> bool | None:
    """Whether all that was judged passed; None if nothing was."""
    judged = [item.passed for item in report.evaluations if item.passed is not None]
    return rouge if not judged else all(judged) and rouge is not False


def _agreement(item: Agreement) -> str:
    least = item.hosts[0].identical
    if least == 1:
        return f"{item.scenario.value}: all hosts gave the same answers"
    return (
        f"{item.scenario.value}: at least {percent(least, 2)} of a host's "
        "answers are those that most hosts gave"
    )


def _pooled(item: PooledAccuracy) -> str:
    text = f"{item.scenario.value}: pooled ROUGE-L {item.score.rougeL:.2f}"
    if "rougeL" in item.margins:
        margin = item.margins["rougeL"]
        text += f", {abs(margin):.2f} {'over' if margin >= 0 else 'under'} the least that passes"
    return text

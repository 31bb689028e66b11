"""The report on a study, from the reports on its runs. Same folder, same report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadfleet_agent.contract.benchmark import Scenario

from ..fleet.settings import InventoryError
from ..report.build import build_report
from ..report.model import FleetReport, HostReport
from ..report.performance import counts, performance_runs
from ..report.render import publish
from .efficiency import NO_INTERVAL, Repeat, scaling_report
from .model import JointThroughput, ScalingReport, StudyReport, StudyRunReport
from .record import StudyRecord, StudyRun, read_study
from .render import write_study

SCENARIO = Scenario.OFFLINE

DEFINITIONS = {
    "weak scaling": "each host works on the whole set, alone and together, so nothing is split: "
    "efficiency = sum of the hosts' tokens/s together / sum of the same hosts' tokens/s alone, in "
    "one repeat; of several repeats the geometric mean",
    "alone": "the host runs the same plan while the other hosts of the study do nothing, in a run "
    "of its own with an engine of its own; never a share or a mean of a run together",
    "tokens/s": "output tokens per second of a host's Offline run as LoadGen logged it",
    "interval": "95 %, Student's t on the logarithms of the repeats' efficiencies; a repeat is one "
    "value, as the requests of a run share its batches. One repeat has none",
    "not distinguishable from linear": "the interval includes 100 %: these repeats show no loss "
    "and no gain. It is no proof that there is none; more repeats make the interval narrower",
    "super-linear": "the whole interval lies above 100 %: hosts do not get faster from others at "
    "work, so something differs between the runs: warm caches, clocks, other samples",
    "against the best": "sum together / (hosts x tokens/s of the fastest host alone): what the "
    "fleet loses by its hosts being unlike, and by taking from each other",
    "joint throughput": "what the hosts did at one time: output tokens of all samples whose last "
    "token came within the common window, over its length. The window begins as the last host "
    "began and ends as the first one ended, by the controller's clock",
    "makespan": "from the first host's start to the last one's end; all samples over it are what "
    "the fleet did as a whole",
    "imbalance": "longest run over the mean run, less 1: what the fleet waits for its slowest host",
    "a run counts": "complete, sealed and through the gate on every host of it; a repeat counts "
    "if all its runs do",
}


def build_study(folder: Path) -> StudyReport:
    """Of the runs that there are. Raises InventoryError if study.json is unusable."""
    record = read_study(folder)
    reports = {run.run_id: _report(folder, run) for run in record.runs}
    runs = tuple(_run_report(run, reports[run.run_id]) for run in record.runs)
    scaling = _scaling(record, runs, reports)
    missing = tuple(
        f"{run.run_id}: {host}: {why}" for run in runs for host, why in run.reasons.items()
    )
    built = [report for report in reports.values() if report is not None]
    return StudyReport(
        study_id=record.study_id,
        created_utc=record.created_utc,
        headline=_headline(record, scaling),
        labels=tuple(dict.fromkeys(label for report in built for label in report.labels)),
        scaling=() if scaling is None else (scaling,),
        runs=runs,
        missing=missing,
        definitions=DEFINITIONS,
    )


def publish_study(folder: Path, reports: Path) -> StudyReport:
    """Builds and writes the report and points latest at it."""
    report = build_study(folder)
    write_study(report, folder)
    publish(folder, reports)
    return report


def _report(folder: Path, run: StudyRun) -> FleetReport | None:
    try:
        return build_report(folder / run.run_id)
    except InventoryError:
        return None


def _run_report(run: StudyRun, report: FleetReport | None) -> StudyRunReport:
    told = {host.name: host for host in report.hosts} if report else {}
    speeds: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name in run.hosts:
        speeds[name], why = _speed(told.get(name))
        if why:
            reasons[name] = why
    return StudyRunReport(
        run_id=run.run_id,
        repeat=run.repeat,
        together=run.together,
        hosts=speeds,
        reasons=reasons,
    )


def _speed(host: HostReport | None) -> tuple[float | None, str]:
    """Tokens per second, or why they do not count."""
    if host is None:
        return None, "its run has no record"
    phase = performance_runs(host).get(SCENARIO)
    if phase is None or not counts(host, phase) or not phase.tokens_per_second:
        return None, str(host.verdict)
    return phase.tokens_per_second, ""


def _scaling(
    record: StudyRecord,
    runs: Sequence[StudyRunReport],
    reports: Mapping[str, FleetReport | None],
) -> ScalingReport | None:
    repeats = []
    joint: list[JointThroughput] = []
    sharing: set[tuple[str, ...]] = set()
    for number in range(1, record.repeats + 1):
        of_repeat = [run for run in runs if run.repeat == number]
        (together,) = (run for run in of_repeat if run.together)
        # Others had more room where a host of the run together failed: it says nothing then.
        speeds = together.hosts if together.counts else {}
        alone = {
            host: speed
            for run in of_repeat
            if not run.together
            for host, speed in run.hosts.items()
        }
        repeats.append(Repeat(together=_known(speeds), alone=_known(alone)))
        report = reports[together.run_id]
        if report is not None and together.counts:
            joint += [item.joint for item in report.scenarios if item.joint is not None]
            sharing |= _sharing(report)
    return scaling_report(SCENARIO, list(record.hosts), repeats, joint, sorted(sharing))


def _known(speeds: Mapping[str, float | None]) -> dict[str, float]:
    return {host: speed for host, speed in speeds.items() if speed is not None}


def _sharing(report: FleetReport) -> set[tuple[str, ...]]:
    return {
        tuple(sorted((host.name, *host.shares_machine_with)))
        for host in report.hosts
        if host.shares_machine_with
    }


def _headline(record: StudyRecord, scaling: ScalingReport | None) -> str:
    if scaling is None:
        return f"no repeat of {record.repeats} is complete: nothing can be said of scaling yet"
    text = (
        f"{scaling.scenario.value}: {len(scaling.hosts)} hosts together do "
        f"{scaling.efficiency * 100:.1f} % of what they do alone"
    )
    if scaling.verdict == NO_INTERVAL:
        text += f" ({NO_INTERVAL})"
    else:
        text += f": {scaling.verdict}"
    for names in scaling.shares_machine:
        text += f"; {' and '.join(names)} share a machine and take from each other"
    return text

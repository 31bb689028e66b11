"""One host of a run's folder, read for a report: everything that needs no other host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from loadfleet_agent.contract.benchmark import LATENCY_LIMITS, Mode, Scenario, round_of_seeds
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.labels import result_labels
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import (
    ANSWERS,
    DETAIL_LOG,
    ENGINE_LOAD,
    PHASES,
    SAMPLES,
    TELEMETRY,
)
from pydantic import ValidationError

from ..bounded_parquet import ParquetError
from ..bundle import Bundle, read_bundle
from ..evaluation.answers import HostAnswers
from ..evaluation.fleet import ToldEvaluation
from ..evaluation.model import WrongAnswer
from ..evaluation.read import read_answers
from ..fleet.clock import ClockReading
from ..fleet.common_start import read_start
from ..fleet.prices import Prices
from ..fleet.record import CONTROLLER, HOSTS, ControllerNote, HostRecord, read_plan
from ..samples.answers import Answers, answers_by_sample
from ..samples.check import contradictions
from ..samples.latency import disagreements, latency_curves
from ..samples.model import LatencyCurve
from ..samples.read import Samples, SamplesError, read_samples
from ..scaling.fill import seen_clock
from ..scaling.joint import HostWork, host_work
from ..stragglers.clock import clock_off_s
from ..stragglers.evidence import Evidence, host_evidence
from ..stragglers.model import Speed
from ..stragglers.speeds import host_speeds
from ..telemetry import Telemetry, memory_before_mib, phase_telemetry, read_telemetry
from ..text.listing import shortened
from ..text.terminal import printable
from ..timeline.load import read_engine_load
from ..timeline.trace import Trace, TracedPhase, host_traces
from ..verdict import judge_host
from .cost import cost_report
from .energy import energy_report
from .limit import physical_limit
from .model import HostReport, PhaseReport


@dataclass(frozen=True)
class HostTask:
    """A host of a run's folder, and what the run's record says of it."""

    folder: Path
    run_id: str
    created_utc: datetime
    name: str
    record: HostRecord
    group: str | None
    prices: Prices


@dataclass(frozen=True)
class HostReading:
    """A host's part of the report, and what its place among the others is found from."""

    report: HostReport
    """Without what only the fleet tells: hosts that share its machine, and its timeline."""
    facts: HostFacts | None
    speeds: tuple[Speed, ...]
    evidence: Evidence
    traces: tuple[Trace, ...]
    clock_off_s: float
    """By how much its clock is wrong at the least."""
    answers: dict[Scenario, Answers]
    """Of its valid accuracy runs."""
    work: dict[Scenario, HostWork | str]
    """Its performance runs on the controller's clock, or why their samples tell nothing."""
    evaluations: tuple[ToldEvaluation, ...]


@dataclass(frozen=True)
class _Records:
    """What the files of one LoadGen run hold beside LoadGen's own logs."""

    traced: TracedPhase
    curves: tuple[LatencyCurve, ...]
    answers: Answers | None
    reason: str
    """Why samples.parquet is not usable, or ''."""
    doubts: tuple[str, ...]
    """Where it and LoadGen's own numbers do not agree."""


def read_host(task: HostTask) -> HostReading:
    """Reads a host's plan, the controller's note and what the host sent. Never raises for what
    a host may have sent."""
    folder, name = task.folder, task.name
    note, plan = _note(folder, name), read_plan(folder, name)
    bundle, evaluations = _with_evaluations(task, _bundle(task, plan))
    result, facts = (bundle.result, bundle.facts) if bundle else (None, None)
    sensors: Telemetry | None = None
    records: list[_Records] = []
    phases: list[PhaseReport] = []
    # Numbers of a folder that was changed are not shown at all.
    whole = bundle is not None and not bundle.problems
    if bundle is not None and whole:
        sensors = read_telemetry(folder / HOSTS / name / TELEMETRY)
        if result is not None:
            records = [_records(folder / HOSTS / name, p, bundle) for p in result.phases]
            phases = [_phase_report(r, bundle, result, sensors, task.prices) for r in records]
    clock = seen_clock(note)
    offset = clock.offset_s if clock else None
    report = HostReport(
        name=name,
        verdict=judge_host(task.record, note, bundle),
        group=task.group,
        attempts=_attempts(bundle),
        labels=_labels(plan, result),
        accelerator=_accelerator(facts),
        facts=_printed_facts(facts),
        shares_machine_with=(),
        phases=tuple(phases),
        rates=result.rates if result and whole else (),
        accuracy=result.accuracy if result and whole else (),
        model=result.model if result else None,
        dataset=result.dataset if result else None,
        engine=result.engine if result else None,
        warnings=(
            *(result.warnings if result else ()),
            *((clock.warning,) if clock and clock.is_off else ()),
            *_doubts(records),
        ),
        clock_offset_s=offset,
        clock_error_s=clock.error_s if clock else None,
    )
    clock_off = clock_off_s(phases, task.created_utc, note.noted_utc if note else None)
    measured = [phase.telemetry for phase in phases if phase.mode == Mode.PERFORMANCE]
    return HostReading(
        report=report,
        facts=facts,
        clock_off_s=clock_off,
        speeds=host_speeds(result) if result else (),
        evidence=host_evidence(
            facts,
            report.engine,
            [phase for phase in measured if phase],
            memory_before_mib(sensors) if sensors else (),
            clock_off,
        ),
        traces=host_traces(
            [of_phase.traced for of_phase in records],
            sensors,
            report.engine.gpus if report.engine else (),
            offset or 0.0,
        ),
        answers={
            of_phase.traced.phase.scenario: of_phase.answers
            for of_phase in records
            if of_phase.answers is not None
        },
        work={
            of_phase.traced.phase.scenario: _work(task, of_phase, clock)
            for of_phase in records
            if of_phase.traced.phase.mode is Mode.PERFORMANCE
        },
        evaluations=evaluations,
    )


def _bundle(task: HostTask, plan: RunPlan | None) -> Bundle | None:
    path, planned = task.folder / HOSTS / task.name, task.record.plan_hash
    if planned is None or not path.is_dir():
        return None
    return read_bundle(path, run_id=task.run_id, host=task.name, plan_hash=planned, planned=plan)


def _note(folder: Path, name: str) -> ControllerNote | None:
    try:
        return ControllerNote.model_validate_json(
            (folder / CONTROLLER / f"{name}.json").read_bytes()
        )
    except (OSError, ValidationError):
        return None


# One LoadGen run.


def _records(folder: Path, phase: PhaseResult, bundle: Bundle) -> _Records:
    """The run's samples and engine load, from a folder whose hashes were checked."""
    path = folder / PHASES / phase.name
    load = read_engine_load(path / ENGINE_LOAD)
    accuracy = phase.mode is Mode.ACCURACY
    samples: Samples | None = None
    answers = None
    reason = ""
    try:
        samples = read_samples(path / SAMPLES, phase.samples, answers=accuracy)
        if found := contradictions(samples, phase):
            raise SamplesError("; ".join(found))
        valid = not bundle.gate.get(phase.name, phase.gate)
        answers = answers_by_sample(samples) if accuracy and valid else None
    except SamplesError as error:
        samples, reason = None, str(error)
    curves: tuple[LatencyCurve, ...] = ()
    if samples is not None and phase.mode is Mode.PERFORMANCE:
        curves = latency_curves(samples, phase)
    return _Records(
        TracedPhase(phase, samples, load), curves, answers, reason, disagreements(curves)
    )


def _work(task: HostTask, records: _Records, clock: ClockReading | None) -> HostWork | str:
    phase, samples = records.traced.phase, records.traced.samples
    if samples is None:
        return f"{SAMPLES}: {records.reason}"
    start = read_start(task.folder, phase.name, task.name)
    return host_work(task.name, phase, samples, clock, start)


def _doubts(records: Sequence[_Records]) -> list[str]:
    return [
        f"{of_phase.traced.phase.name}: {doubt}"
        for of_phase in records
        for doubt in (
            (f"{SAMPLES} is not usable: {of_phase.reason}",) if of_phase.reason else of_phase.doubts
        )
    ]


# Its evaluations.


def _with_evaluations(
    task: HostTask, bundle: Bundle | None
) -> tuple[Bundle | None, tuple[ToldEvaluation, ...]]:
    """What a folder without problems tells of evaluations. Answers that contradict their result
    are a problem of the folder, as LoadGen's logs are that contradict theirs."""
    if bundle is None or bundle.problems or bundle.result is None:
        return bundle, ()
    result = bundle.result
    told, problems = [], []
    for item in result.evaluations:
        answers: HostAnswers | None = None
        wrong: tuple[WrongAnswer, ...] = ()
        if item.score is not None:  # of MMLU
            path = task.folder / HOSTS / task.name / PHASES / item.name / ANSWERS
            try:
                answers, wrong = read_answers(path, item, task.name)
            except ParquetError as error:
                problems.append(shortened(printable(f"{item.name}: {ANSWERS}: {error}")))
        if task.group is not None:
            told.append(ToldEvaluation(task.name, task.group, item, answers, result.model, wrong))
    if problems:
        return replace(bundle, problems=tuple(problems)), ()
    return bundle, tuple(told)


# What is shown of it.


def _labels(plan: RunPlan | None, result: HostResult | None) -> tuple[str, ...]:
    """What the host says, and what follows from its plan and dataset, whatever it says."""
    follow = result_labels(plan, result.dataset if result else None) if plan else ()
    return tuple(dict.fromkeys((*(result.labels if result else ()), *follow)))


def _attempts(bundle: Bundle | None) -> int:
    """How often the host started the run; 0 if it never told."""
    if bundle is None:
        return 0
    if bundle.result is not None:
        return bundle.result.attempts
    return bundle.status.attempt if bundle.status is not None else 0


def _phase_report(
    records: _Records,
    bundle: Bundle,
    result: HostResult,
    telemetry: Telemetry | None,
    prices: Prices,
) -> PhaseReport:
    phase = records.traced.phase
    logged = phase.loadgen
    findings = bundle.gate.get(phase.name, phase.gate)
    limits = LATENCY_LIMITS.get(phase.scenario)
    limit, no_limit = physical_limit(phase, result.engine, result.model, bundle.facts)
    energy = energy_report(phase, result)
    return PhaseReport(
        name=phase.name,
        scenario=phase.scenario,
        mode=phase.mode.value,
        valid=not findings,
        findings=tuple(str(finding) for finding in findings),
        started_utc=phase.started_utc,
        ended_utc=phase.ended_utc,
        target_qps=phase.target_qps,
        samples=phase.samples,
        samples_per_second=logged.samples_per_second,
        tokens_per_second=logged.tokens_per_second,
        latency=logged.latency,
        ttft=logged.ttft,
        tpot=logged.tpot,
        ttft_limit_ns=limits.ttft_ns if limits else None,
        tpot_limit_ns=limits.tpot_ns if limits else None,
        latency_from_issue_ns=phase.latency_from_issue_ns,
        ttft_from_issue_ns=phase.ttft_from_issue_ns,
        input_tokens=phase.input_tokens,
        output_tokens=phase.output_tokens,
        loadgen_version=logged.loadgen_version,
        mlperf_round=round_of_seeds(logged.seeds),
        log_sha256=phase.files.get(DETAIL_LOG, ""),
        limit=limit,
        no_limit=no_limit,
        energy=energy,
        cost=cost_report(phase, result.engine, energy, prices),
        telemetry=phase_telemetry(telemetry, phase.started_utc, phase.ended_utc)
        if telemetry
        else None,
        curves=records.curves,
        no_curves=records.reason,
    )


def _accelerator(facts: HostFacts | None) -> str:
    if facts is None:
        return "unknown"
    if not facts.gpus:
        return f"no GPU ({facts.cpu_model}, {facts.cpu_threads} threads)"
    names = sorted({gpu.name for gpu in facts.gpus})
    return f"{len(facts.gpus)}x {' + '.join(names)}"


def _printed_facts(facts: HostFacts | None) -> dict[str, str]:
    """Facts as text, one level deep, GPUs by index."""
    if facts is None:
        return {}
    printed: dict[str, str] = {}
    for key, value in facts.lasting.items():
        if key == "packages" and isinstance(value, dict):
            printed |= {f"package {name}": str(version) for name, version in value.items()}
        elif key == "gpus" and isinstance(value, list):
            for gpu in value:
                printed |= {
                    f"gpu {gpu['index']} {name}": str(item)
                    for name, item in gpu.items()
                    if name != "index"
                }
        elif key != "schema_version":
            printed[key] = "none" if value is None else str(value)
    return printed

"""One LoadGen run over a started engine, and the files it leaves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import mlperf_loadgen as loadgen
import pyarrow as pa
import pyarrow.parquet as pq

from ..contract.base import utc_now
from ..contract.benchmark import Mode, Scenario
from ..contract.files import write_model
from ..contract.gate import Expectation, check_run
from ..contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from ..contract.plan import RunPlan, phase_name
from ..contract.result import PhaseResult
from ..contract.run_folder import LOADGEN_FILES, PHASE_RESULT, SAMPLES, USER_CONF, file_sha256
from ..contract.status import FailureCode
from ..dataset.library import SampleLibrary
from ..engine.base import Engine, EngineDied
from ..failure import RunFailure
from ..statistics import distribution
from .settings import Fields, resolve_settings, user_conf
from .sut import SampleRecord, SystemUnderTest

MODES = {Mode.PERFORMANCE: "PerformanceOnly", Mode.ACCURACY: "AccuracyOnly"}


@dataclass(frozen=True)
class PreparedPhase:
    """A phase whose folder, user.conf and settings are ready."""

    scenario: Scenario
    mode: Mode
    folder: Path
    fields: Fields

    @property
    def name(self) -> str:
        return phase_name(self.scenario, self.mode)


def prepare_phase(plan: RunPlan, scenario: Scenario, mode: Mode, folder: Path) -> PreparedPhase:
    """An empty phase folder with its user.conf, and LoadGen's settings from it."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.iterdir():
        leftover.unlink()
    conf = folder / USER_CONF
    conf.write_text(user_conf(plan, scenario), encoding="utf-8")
    return PreparedPhase(scenario, mode, folder, resolve_settings(conf, scenario))


def run_phase(
    plan: RunPlan,
    phase: PreparedPhase,
    library: SampleLibrary,
    engine: Engine,
    loop: asyncio.AbstractEventLoop,
    watch: Callable[[SystemUnderTest], None],
) -> PhaseResult:
    """Runs LoadGen to its end, in this thread, and writes phase.json last.

    ``watch`` is given the system under test before LoadGen starts, to read its progress and to
    abort it. Raises RunFailure if the engine died, LoadGen's logs are unusable, or on abort.
    """
    sut = SystemUnderTest(
        engine,
        loop,
        library.prompts,
        stream=phase.scenario is Scenario.SERVER,
        run_tag=phase.name,
    )
    watch(sut)
    started = utc_now()
    _start_test(phase, sut, len(library.prompts))
    ended = utc_now()
    if sut.failure is not None:
        if isinstance(sut.failure, RunFailure):
            raise sut.failure
        code = (
            FailureCode.ENGINE_DIED if isinstance(sut.failure, EngineDied) else FailureCode.INTERNAL
        )
        raise RunFailure(code, f"{type(sut.failure).__name__}: {sut.failure}") from sut.failure
    return _seal_phase(plan, phase, library, sut.records, started, ended)


def _start_test(phase: PreparedPhase, sut: SystemUnderTest, samples: int) -> None:
    settings = loadgen.TestSettings()
    for name, value in phase.fields.items():
        setattr(settings, name, value)
    settings.scenario = getattr(loadgen.TestScenario, phase.scenario.value)
    settings.mode = getattr(loadgen.TestMode, MODES[phase.mode])
    output = loadgen.LogOutputSettings()
    output.outdir = str(phase.folder)
    output.copy_summary_to_stdout = False
    log = loadgen.LogSettings()
    log.log_output = output
    log.enable_trace = False
    system = loadgen.ConstructFastSUT(sut.issue, sut.flush)
    library = loadgen.ConstructQSL(samples, samples, _nothing, _nothing)
    # A collection of a large heap in the timed region would show up as latency.
    gc.collect()
    gc.freeze()
    try:
        # By default LoadGen obeys an audit.config in the working directory, whoever left it
        # there; the phase's folder was emptied and holds none.
        audit = str(phase.folder / "audit.config")
        loadgen.StartTestWithLogSettings(system, library, settings, log, audit)
    finally:
        gc.unfreeze()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    # Tracing is off, but LoadGen makes the file all the same.
    (phase.folder / "mlperf_log_trace.json").unlink(missing_ok=True)


def _nothing(_: list[int]) -> None:
    """The samples are in memory already."""


def _seal_phase(
    plan: RunPlan,
    phase: PreparedPhase,
    library: SampleLibrary,
    records: Sequence[SampleRecord],
    started: datetime,
    ended: datetime,
) -> PhaseResult:
    hashes = {
        name: file_sha256(phase.folder / name)
        for name in (*LOADGEN_FILES, USER_CONF)
        if (phase.folder / name).is_file()
    }
    try:
        result = read_loadgen_logs(phase.folder)
    except LoadgenLogError as error:
        raise RunFailure(FailureCode.LOADGEN, str(error)) from error
    if not records:
        raise RunFailure(FailureCode.LOADGEN, "LoadGen ended without one answered sample")
    _write_samples(phase.folder / SAMPLES, records)
    hashes[SAMPLES] = file_sha256(phase.folder / SAMPLES)
    counts = [record.output_tokens for record in records]
    sealed = PhaseResult(
        name=phase.name,
        scenario=phase.scenario,
        mode=phase.mode,
        plan_hash=plan.plan_hash,
        started_utc=started,
        ended_utc=ended,
        target_qps=plan.scenario(phase.scenario).target_qps,
        samples=len(records),
        input_tokens=distribution([len(library.prompts[r.index]) for r in records]),
        output_tokens=distribution(counts),
        latency_from_issue_ns=distribution([r.last_token_ns - r.issue_ns for r in records]),
        ttft_from_issue_ns=distribution([r.first_token_ns - r.issue_ns for r in records])
        if phase.scenario is Scenario.SERVER
        else None,
        loadgen=result,
        gate=check_run(
            result,
            Expectation(
                scenario=phase.scenario,
                mode=phase.mode,
                official_length=plan.length.kind == "official",
                samples=len(library.prompts),
                answered=len(records),
                output_tokens=sum(counts),
                fewest_output_tokens=min(counts),
                most_output_tokens=max(counts),
                max_tokens=plan.generation.max_tokens,
            ),
        ),
        files=hashes,
    )
    write_model(phase.folder / PHASE_RESULT, sealed)
    return sealed


def _write_samples(path: Path, records: Sequence[SampleRecord]) -> None:
    """samples.parquet: one row a sample, in the order of completion."""
    columns = {
        "sample_index": pa.array([r.index for r in records], pa.uint32()),
        "issue_ns": pa.array([r.issue_ns for r in records], pa.int64()),
        "first_token_ns": pa.array([r.first_token_ns for r in records], pa.int64()),
        "last_token_ns": pa.array([r.last_token_ns for r in records], pa.int64()),
        "output_tokens": pa.array([r.output_tokens for r in records], pa.uint32()),
        "output_sha256": pa.array([r.output_sha256 for r in records], pa.binary(32)),
    }
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.table(columns), temporary)
    temporary.replace(path)

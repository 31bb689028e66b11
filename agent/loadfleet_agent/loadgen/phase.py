"""A phase: one LoadGen run of the plan, judged by the gate, and the files it leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..accuracy.accuracy_log import read_accuracy_log
from ..accuracy.test06 import verify_test06, verify_text
from ..contract.base import digest
from ..contract.benchmark import Mode, Scenario
from ..contract.files import write_atomic, write_model
from ..contract.gate import Expectation, GateFinding, check_run
from ..contract.loadgen_log import LoadgenLogError, LoadgenResult, read_loadgen_logs
from ..contract.plan import RunPlan, phase_name
from ..contract.result import EngineFacts, ModelFacts, PhaseResult, Test06
from ..contract.run_folder import (
    ACCURACY_LOG,
    AUDIT_CONFIG,
    ENGINE_LOAD,
    LOADGEN_FILES,
    PHASE_RESULT,
    SAMPLES,
    USER_CONF,
    VERIFY_ACCURACY,
    file_sha256,
)
from ..contract.status import FailureCode
from ..dataset.library import SampleLibrary
from ..failure import RunFailure, require_space
from ..statistics import distribution
from .load_record import recorded_load
from .run import Answered, Drive, PreparedRun, prepare_run, run_loadgen
from .settings import user_conf
from .sut import SampleRecord

UNSTEADY_SETTINGS = ("kv_cache_blocks",)
"""What an engine finds anew at every start, from the memory that is free then."""


def configuration_sha256(
    plan: RunPlan, engine: EngineFacts, model: ModelFacts, library: SampleLibrary | None
) -> str:
    """Hash of all that decides the numbers of a phase; no library: the plan has no LoadGen run."""
    settings = {k: v for k, v in engine.settings.items() if k not in UNSTEADY_SETTINGS}
    return digest(
        {
            "plan": plan.plan_hash,
            "engine": [engine.kind, engine.version, settings],
            "model": [model.config_sha256, model.tokenizer_sha256, model.weights_sha256],
            "dataset": None if library is None else library.facts.library_sha256,
        }
    )


def prepare_phase(
    plan: RunPlan, scenario: Scenario, mode: Mode, folder: Path, target_qps: float | None
) -> PreparedRun:
    """An empty phase folder with its configuration. ``target_qps``: as of ``user_conf``."""
    conf = user_conf(plan, scenario, target_qps)
    return prepare_run(phase_name(scenario, mode), plan.suite, scenario, mode, folder, conf)


def run_phase(
    plan: RunPlan,
    phase: PreparedRun,
    target_qps: float | None,
    library: SampleLibrary,
    stop_token_ids: Collection[int],
    configuration: str,
    drive: Drive,
) -> PhaseResult:
    """Runs LoadGen to its end, in this thread, and writes phase.json last.

    ``configuration`` is the hash of what runs. Raises RunFailure if the engine died, LoadGen's
    logs are unusable, or on abort.
    """
    with recorded_load(drive.engine, phase.folder / ENGINE_LOAD):
        answered = run_loadgen(phase, drive)
    hashes = _hashes(phase.folder, (*LOADGEN_FILES, USER_CONF, AUDIT_CONFIG))
    try:
        logged = read_loadgen_logs(phase.folder)
    except LoadgenLogError as error:
        require_space(phase.folder)
        raise RunFailure(FailureCode.LOADGEN, str(error)) from error
    test06 = _verify_test06(phase, stop_token_ids) if phase.mode is Mode.TEST06 else None
    _write_samples(phase.folder / SAMPLES, answered.records)
    hashes |= _hashes(phase.folder, (SAMPLES, ENGINE_LOAD, VERIFY_ACCURACY))
    records = answered.records
    sealed = PhaseResult(
        name=phase.name,
        scenario=phase.scenario,
        mode=phase.mode,
        plan_hash=plan.plan_hash,
        started_utc=answered.started,
        ended_utc=answered.ended,
        started_monotonic_ns=answered.started_ns,
        configuration_sha256=configuration,
        target_qps=target_qps,
        samples=len(records),
        input_tokens=distribution([len(library.prompts[r.index]) for r in records]),
        output_tokens=distribution([r.output_tokens for r in records]),
        latency_from_issue_ns=distribution([r.last_token_ns - r.issue_ns for r in records]),
        ttft_from_issue_ns=distribution([r.first_token_ns - r.issue_ns for r in records])
        if phase.scenario.streams
        else None,
        harness_cpu_s=answered.cpu_s,
        loadgen=logged,
        test06=test06,
        gate=_gate(plan, phase, logged, answered, len(library.prompts), test06),
        files=hashes,
    )
    write_model(phase.folder / PHASE_RESULT, sealed)
    return sealed


def _gate(
    plan: RunPlan,
    phase: PreparedRun,
    logged: LoadgenResult,
    answered: Answered,
    samples: int,
    test06: Test06 | None,
) -> tuple[GateFinding, ...]:
    counts = [record.output_tokens for record in answered.records]
    expected = Expectation(
        suite=plan.suite,
        scenario=phase.scenario,
        mode=phase.mode,
        official_length=plan.length.kind == "official",
        samples=samples,
        answered=len(counts),
        output_tokens=sum(counts),
        fewest_output_tokens=min(counts),
        most_output_tokens=max(counts),
        max_tokens=plan.generation.max_tokens,
        test06_passed=None if test06 is None else test06.passed,
    )
    return check_run(logged, expected)


def _verify_test06(phase: PreparedRun, stop_token_ids: Collection[int]) -> Test06:
    logged = read_accuracy_log(phase.folder / ACCURACY_LOG)
    verified = verify_test06(logged, phase.scenario, stop_token_ids)
    write_atomic(phase.folder / VERIFY_ACCURACY, verify_text(verified))
    return verified


def _hashes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: file_sha256(folder / name) for name in names if (folder / name).is_file()}


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

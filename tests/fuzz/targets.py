"""What is fuzzed: each target takes any bytes, and anything it raises is a fault.

The seeds are files of real runs.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.evaluation import EvaluationData, EvaluationResult, SubjectScore
from loadfleet_agent.contract.evaluation_score import score_subjects
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult, Manifest, PhaseResult, RateResult
from loadfleet_agent.contract.run_folder import (
    ANSWERS,
    DETAIL_LOG,
    ENGINE_LOAD,
    HOST_FACTS,
    PHASE_RESULT,
    PLAN,
    RESULT,
    SAMPLES,
    SUMMARY_LOG,
    TELEMETRY,
)
from loadfleet_agent.contract.status import Status
from loadfleet_aggregator.bounded_parquet import ParquetError
from loadfleet_aggregator.bundle import BundleError, unpack
from loadfleet_aggregator.evaluation.answers import asked
from loadfleet_aggregator.evaluation.read import read_answers
from loadfleet_aggregator.fleet.record import ControllerNote, RunRecord
from loadfleet_aggregator.fleet.settings import InventoryError, plan_hosts
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.samples.read import SamplesError, read_samples
from loadfleet_aggregator.telemetry import phase_telemetry, read_telemetry
from loadfleet_aggregator.timeline.load import read_engine_load
from pydantic import BaseModel, ValidationError

PROJECT = Path(__file__).parents[2]
SEED_RUN = PROJECT / "benchmarks" / "seed" / "h200.tar.gz"
REAL_LOGS = PROJECT / "tests" / "data" / "mlperf-v5.1-logs"
INVENTORY = PROJECT / "inventory"
MODELS: tuple[type[BaseModel], ...] = (
    HostResult, PhaseResult, RateResult, HostFacts, Status, Manifest, RunPlan, FleetReport,
    RunRecord, ControllerNote,
)  # fmt: skip
ROWS = 50
QUESTIONS = [
    {
        "task": "mmlu_llama",
        "subject": "anatomy",
        "index": index,
        "question": "Which letter?",
        "choices": ["1", "2", "3", "4"],
        "expected": "A",
        "answer": answer,
        "correct": answer == "A",
        "log_probabilities": None,
        "response": answer,
        "prompt_sha256": bytes(32),
        "prompt_tokens": 7,
        "prompt": None if answer == "A" else "Which letter? 1 2 3 4",
    }
    for index, answer in enumerate("AB")
]
ANSWERS_SCHEMA = pa.schema(
    {
        "task": pa.string(),
        "subject": pa.string(),
        "index": pa.uint32(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "expected": pa.string(),
        "answer": pa.string(),
        "correct": pa.bool_(),
        "log_probabilities": pa.list_(pa.float32()),
        "response": pa.string(),
        "prompt_sha256": pa.binary(32),
        "prompt_tokens": pa.uint32(),
        "prompt": pa.string(),
    }
)
ANATOMY = SubjectScore(name="anatomy", category="stem", questions=2, correct=1, of=2)
EVALUATION = EvaluationResult(
    name="evaluation-mmlu_llama",
    task="mmlu_llama",
    plan_hash="0" * 64,
    configuration_sha256="0" * 64,
    started_utc=datetime(2027, 1, 15, tzinfo=UTC),
    ended_utc=datetime(2027, 1, 15, tzinfo=UTC),
    lm_eval="0.4.13",
    split="test",
    shots=5,
    chat_template=True,
    data=EvaluationData(source="hub", label="", origin="", sha256="0" * 64, questions=2),
    questions=2,
    correct=1,
    invalid=0,
    subjects=(ANATOMY,),
    score=score_subjects([ANATOMY]),
    prompt_tokens=Distribution(count=2, minimum=7, mean=7, p50=7, p90=7, p99=7, maximum=7),
    output_tokens=2,
    duration_s=1.0,
    questions_per_second=2.0,
    prompt_tokens_per_second=14.0,
    output_tokens_per_second=2.0,
    prefix_caching=False,
    metrics={},
    labels=(),
    files={},
)
"""What ``QUESTIONS`` come to."""
BETWEEN = b"\n\0\n"
"""Stands between the two logs of a run."""
START, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)


def archive(data: bytes) -> None:
    """A tar, packed here: a fuzzer finds no way through a checksum. Without its first byte being
    an x, the gzip itself."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        path = Path(scratch) / "host.tar.gz"
        path.write_bytes(gzip.compress(data[1:], 1) if data[:1] == b"x" else data)
        target = Path(scratch) / "hosts" / "host"
        try:
            unpack(path, target)
            said = ""
        except BundleError as error:
            said = str(error)
        assert "\n" not in said
        assert bool(said) != target.exists()
        assert {item.name for item in Path(scratch).iterdir()} <= {"host.tar.gz", "hosts"}


def document(data: bytes) -> None:
    """A JSON document; its first byte says of which model."""
    if not data:
        return
    model = MODELS[data[0] % len(MODELS)]
    try:
        value = model.model_validate_json(data[1:])
    except ValidationError:
        return
    if isinstance(value, RunPlan):
        assert len(value.plan_hash) == 64
    assert model.model_validate_json(value.model_dump_json()) == value


def telemetry(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        path = Path(scratch) / TELEMETRY
        path.write_bytes(data)
        found = read_telemetry(path)
        assert found is not None
        summed = phase_telemetry(found, START, END)
        assert summed is None or summed.samples == found.at_s.size


def loadgen(data: bytes) -> None:
    detail, _, summary = data.partition(BETWEEN)
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        folder = Path(scratch)
        (folder / DETAIL_LOG).write_bytes(detail)
        (folder / SUMMARY_LOG).write_bytes(summary)
        try:
            result = read_loadgen_logs(folder)
        except LoadgenLogError:
            return
        assert type(result).model_validate_json(result.model_dump_json()) == result


def samples(data: bytes) -> None:
    """samples.parquet of a run that had ``ROWS`` samples."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        path = Path(scratch) / SAMPLES
        path.write_bytes(data)
        for answers in (False, True):
            try:
                found = read_samples(path, ROWS, answers=answers)
            except SamplesError:
                continue
            assert len(found) == ROWS


def answers(data: bytes) -> None:
    """answers.parquet of an evaluation of two questions, one answered wrongly."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        path = Path(scratch) / ANSWERS
        path.write_bytes(data)
        try:
            found, wrong = read_answers(path, EVALUATION, "host")
        except ParquetError:
            return
        assert int(asked(found).sum()) == len(QUESTIONS)
        assert len(wrong) == 1


def engine_load(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="loadfleet-fuzz-") as scratch:
        path = Path(scratch) / ENGINE_LOAD
        path.write_bytes(data)
        found = read_engine_load(path)
        assert found is not None
        assert np.isfinite(found.at_s).all()


def inventory(data: bytes) -> None:
    """Variables of a host, as an inventory has them."""
    try:
        values = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError, OverflowError):
        return  # of Ansible's own reader
    if not isinstance(values, dict):
        return
    variables = {f"loadfleet_{key}": value for key, value in values.items()}
    try:
        planned = plan_hosts({"host": variables}, "run-1", lambda _key, _value: "", PROJECT)
    except InventoryError:
        return
    for host in planned:
        assert RunPlan.model_validate_json(host.plan.model_dump_json()) == host.plan


TARGETS: dict[str, Callable[[bytes], None]] = {
    "archive": archive,
    "document": document,
    "telemetry": telemetry,
    "loadgen": loadgen,
    "samples": samples,
    "answers": answers,
    "engine-load": engine_load,
    "inventory": inventory,
}


def seeds(target: str) -> Iterator[bytes]:
    """Real inputs of a target."""
    run = _seed_run()
    match target:
        case "archive":
            yield b"x" + _tar({name: data[:2000] for name, data in run.items()})
            yield SEED_RUN.read_bytes()[:2000]
        case "document":
            names = {HostResult: RESULT, PhaseResult: PHASE_RESULT, HostFacts: HOST_FACTS,
                     RunPlan: PLAN}  # fmt: skip
            for model, name in names.items():
                (data,) = (data for path, data in run.items() if Path(path).name == name)
                yield bytes([MODELS.index(model)]) + data
        case "telemetry":
            (data,) = (data for path, data in run.items() if path.endswith(TELEMETRY))
            yield b"".join(data.splitlines(keepends=True)[:5])
        case "loadgen":
            for folder in sorted(REAL_LOGS.glob("*/*")):
                # One line of each has tens of kilobytes; what it holds is looked at by nobody.
                detail = b"\n".join(
                    line
                    for line in (folder / DETAIL_LOG).read_bytes().splitlines()
                    if len(line) < 1000
                )
                yield detail + BETWEEN + (folder / SUMMARY_LOG).read_bytes()
        case "samples":
            (data,) = (data for path, data in run.items() if path.endswith(SAMPLES))
            rows = pq.read_table(io.BytesIO(data)).slice(0, ROWS)
            for compression in ("SNAPPY", "NONE"):
                stream = io.BytesIO()
                pq.write_table(rows, stream, compression=compression)
                yield stream.getvalue()
        case "answers":
            table = pa.Table.from_pylist(QUESTIONS, ANSWERS_SCHEMA)
            for compression, dictionary in (("SNAPPY", True), ("NONE", False)):
                stream = io.BytesIO()
                pq.write_table(table, stream, compression=compression, use_dictionary=dictionary)
                yield stream.getvalue()
        case "engine-load":
            yield b"".join(
                b'{"at_utc":"2026-08-01T12:00:%02d+00:00","running":%d,"waiting":0,"kv_cache":0.5}\n'
                % (second, second)
                for second in range(5)
            )
        case "inventory":
            for path in sorted(INVENTORY.rglob("*.yml")):
                values = yaml.safe_load(path.read_bytes())
                if isinstance(values, dict):
                    ours = {
                        key.removeprefix("loadfleet_"): value
                        for key, value in values.items()
                        if key.startswith("loadfleet_")
                    }
                    yield yaml.safe_dump(ours).encode()
            yield b"profile: null-engine\nmodel: {source: tiny}\ndataset: {source: synthetic}\n"


def write_seeds(target: str, folder: Path) -> None:
    """The corpus that a fuzzer begins with."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(seeds(target)):
        (folder / f"seed-{number}").write_bytes(data)


def _seed_run() -> dict[str, bytes]:
    with tarfile.open(SEED_RUN) as packed:
        return {
            member.name: stream.read()
            for member in packed
            if member.isfile() and (stream := packed.extractfile(member)) is not None
        }


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1785585600.5
            packed.addfile(info, io.BytesIO(data))
    return stream.getvalue()

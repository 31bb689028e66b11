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
import pyarrow.parquet as pq
import yaml
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult, Manifest, PhaseResult, RateResult
from loadfleet_agent.contract.run_folder import (
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
from loadfleet_aggregator.bundle import BundleError, unpack
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

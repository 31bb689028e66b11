"""What a host's sensors said, from telemetry.jsonl as untrusted input, and what it comes to."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.base import MOST_GPUS, Frozen
from loadfleet_agent.contract.files import open_plain
from pydantic import Field

MAX_BYTES = 256 << 20
"""A day of eight GPUs at one sample a second."""
MAX_LINE_BYTES = 1 << 16
MAX_READINGS = 1 << 20
"""Samples times GPUs, of which each takes memory even if the host told nothing: as long."""
MOST = 1e15
"""No sensor of ours tells more; an energy counter in mJ reaches it after 30 years at 1 kW."""
GPU_COLUMNS = (
    "power_w",
    "temperature_c",
    "memory_temperature_c",
    "sm_clock_mhz",
    "throttle_reasons",
    "memory_used_mib",
    "utilization_percent",
    "pcie_generation",
    "pcie_width",
    "pcie_replays",
    "ecc_corrected",
    "ecc_uncorrected",
)
HOST_COLUMNS = ("cpu_percent", "memory_used_mib")
THROTTLE_REASONS = {
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}
"""Bits of NVML's nvmlClocksEventReason, idleness (0x1) aside."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Telemetry:
    """Samples in the order of the file; NaN where a sensor did not say. All arrays: (samples,)."""

    at_s: Floats
    """POSIX time by the host's clock."""
    host: dict[str, Floats]
    gpus: tuple[dict[str, Floats], ...]
    """One dictionary of columns a GPU, by its index."""


class GpuTelemetry(Frozen):
    """One GPU over a phase; None where its sensor did not say."""

    gpu: int
    power_mean_w: float | None
    sm_clock_median_mhz: float | None
    temperature_max_c: float | None
    memory_temperature_max_c: float | None
    utilization_mean_percent: float | None
    memory_used_max_mib: float | None
    pcie_generation_min: int | None
    pcie_width_min: int | None
    pcie_replays: int | None = Field(description="by which the counter rose")
    ecc_corrected: int | None = Field(description="by which the counter rose")
    ecc_uncorrected: int | None = Field(description="by which the counter rose")
    throttled: dict[str, float] = Field(
        description="NVML's reason to the share of samples in which it held the clock, over 0"
    )


class PhaseTelemetry(Frozen):
    """A host's sensors from the start to the end of a phase."""

    samples: int
    cpu_mean_percent: float | None
    memory_used_max_mib: float | None
    gpus: tuple[GpuTelemetry, ...]


def read_telemetry(path: Path) -> Telemetry | None:
    """None if there is no file. Lines that are cut off, too long or no samples are left out, and
    so is what comes after ``MAX_READINGS``."""
    at: list[float] = []
    host: list[list[object]] = []
    gpus: list[list[list[object]]] = []
    unknown: list[object] = [None] * len(GPU_COLUMNS)
    try:
        for time, sample in _samples(path):
            told = sample.get("gpus")
            told = told[:MOST_GPUS] if isinstance(told, list) else []
            if (len(at) + 1) * max(1, len(gpus), len(told)) > MAX_READINGS:
                break
            while len(gpus) < len(told):
                gpus.append([unknown] * len(at))
            at.append(time)
            host.append([sample.get(name) for name in HOST_COLUMNS])
            for index, rows in enumerate(gpus):
                gpu = told[index] if index < len(told) else None
                if isinstance(gpu, dict):
                    rows.append([gpu.get(name) for name in GPU_COLUMNS])
                else:
                    rows.append(unknown)
    except OSError:
        return None
    return Telemetry(
        at_s=np.array(at, dtype=np.float64),
        host=_columns(host, HOST_COLUMNS),
        gpus=tuple(_columns(rows, GPU_COLUMNS) for rows in gpus),
    )


def phase_telemetry(telemetry: Telemetry, start: datetime, end: datetime) -> PhaseTelemetry | None:
    """What the samples between two moments come to; None if there is none."""
    inside = (telemetry.at_s >= start.timestamp()) & (telemetry.at_s <= end.timestamp())
    count = int(np.count_nonzero(inside))
    if count == 0:
        return None
    host = {name: column[inside] for name, column in telemetry.host.items()}
    return PhaseTelemetry(
        samples=count,
        cpu_mean_percent=_known(np.mean, host["cpu_percent"]),
        memory_used_max_mib=_known(np.max, host["memory_used_mib"]),
        gpus=tuple(
            _gpu(index, {name: column[inside] for name, column in columns.items()})
            for index, columns in enumerate(telemetry.gpus)
        ),
    )


def memory_before_mib(telemetry: Telemetry) -> tuple[float | None, ...]:
    """Memory in use on each GPU as the run began, before its engine: that of others."""
    return tuple(_known(np.max, columns["memory_used_mib"][:1]) for columns in telemetry.gpus)


def _samples(path: Path) -> Iterator[tuple[float, dict[str, Any]]]:
    """POSIX time and content of each sample. Raises OSError."""
    try:
        stream = open_plain(path)
    except FileNotFoundError:
        raise
    except OSError:
        return
    with stream:
        if os.fstat(stream.fileno()).st_size > MAX_BYTES:
            return
        while line := stream.readline(MAX_LINE_BYTES):
            try:
                sample = json.loads(line)
                at = datetime.fromisoformat(sample["at_utc"])
                time = at.timestamp()
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue  # of a run that was killed while it wrote
            if at.tzinfo is not None:  # else it would be a time of the controller's own zone
                yield time, sample


def _number(value: object) -> float:
    """NaN for anything that no sensor tells."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST:
        return math.nan
    return float(value)


def _numbers(rows: list[list[object]]) -> Floats:
    # One by one is slow, and nearly never needed.
    if {type(value) for row in rows for value in row} <= {float, int, NoneType}:
        with contextlib.suppress(OverflowError):  # an integer of hundreds of digits
            return np.array(rows, dtype=np.float64)
    return np.array([[_number(value) for value in row] for row in rows], dtype=np.float64)


def _columns(rows: list[list[object]], names: tuple[str, ...]) -> dict[str, Floats]:
    table = _numbers(rows).reshape(len(rows), len(names))
    table[~((table >= 0) & (table <= MOST))] = np.nan
    return {name: np.ascontiguousarray(table[:, index]) for index, name in enumerate(names)}


def _gpu(index: int, columns: dict[str, Floats]) -> GpuTelemetry:
    reasons = columns["throttle_reasons"]
    bits = reasons[np.isfinite(reasons)].astype(np.int64)
    shares = {
        name: round(float(np.mean((bits & bit) != 0)), 4) for bit, name in THROTTLE_REASONS.items()
    } if bits.size else {}  # fmt: skip
    return GpuTelemetry(
        gpu=index,
        power_mean_w=_known(np.mean, columns["power_w"]),
        sm_clock_median_mhz=_known(np.median, columns["sm_clock_mhz"]),
        temperature_max_c=_known(np.max, columns["temperature_c"]),
        memory_temperature_max_c=_known(np.max, columns["memory_temperature_c"]),
        utilization_mean_percent=_known(np.mean, columns["utilization_percent"]),
        memory_used_max_mib=_known(np.max, columns["memory_used_mib"]),
        pcie_generation_min=_whole(_known(np.min, columns["pcie_generation"])),
        pcie_width_min=_whole(_known(np.min, columns["pcie_width"])),
        pcie_replays=_rise(columns["pcie_replays"]),
        ecc_corrected=_rise(columns["ecc_corrected"]),
        ecc_uncorrected=_rise(columns["ecc_uncorrected"]),
        throttled={name: share for name, share in shares.items() if share > 0},
    )


def _known(reduce: Any, column: Floats) -> float | None:
    """``reduce`` over the known values; None if there is none."""
    values = column[np.isfinite(column)]
    return round(float(reduce(values)), 3) if values.size else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _rise(counter: Floats) -> int | None:
    """A counter that went back was reset: what it counted since is the least that it rose."""
    values = counter[np.isfinite(counter)]
    if not values.size:
        return None
    return int(np.sum(np.maximum(np.diff(values), 0.0)))

"""Energy of a phase from telemetry: the GPU's own counter, held against integrated power.

The counter (NVML's total energy consumption, mJ since the driver was loaded) is what counts; the
power samples say whether it can be believed. Where samples have holes, there is no figure.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import Field

from .base import MOST_GPUS, Amount, Count, Frozen, Line, Text

LONGEST_GAP_S = 3.0
"""Between two samples of one a second; a longer one is a hole."""
AGREEMENT = 0.05
"""Most by which integrated power may differ from the counter."""
LEAST_SAMPLES = 10
"""Under which a trapezoid over power means nothing."""


class GpuReading(Frozen):
    """One GPU at one moment."""

    at_utc: datetime
    power_w: float | None
    energy_mj: float | None


class GpuEnergy(Frozen):
    """Energy of one GPU over one phase, or why there is none."""

    gpu: Count = Field(description="index of the GPU in telemetry")
    joules: Amount | None = Field(description="by the GPU's counter; None with a reason")
    joules_by_power: Amount | None = Field(description="power samples integrated by trapezoids")
    mean_power_w: Amount | None
    reason: Text = Field(description="why there are no joules, or ''")


class PhaseEnergy(Frozen):
    """Energy of every GPU of the host over one phase, in the order of their indices."""

    phase: Line
    gpus: tuple[GpuEnergy, ...] = Field(
        max_length=MOST_GPUS, description="also those that the engine does not use"
    )

    def of(self, gpus: Collection[int]) -> tuple[GpuEnergy, ...]:
        """Those of the GPUs with these indices."""
        return tuple(energy for energy in self.gpus if energy.gpu in gpus)


Window = tuple[str, datetime, datetime]
"""A phase's name, and when it started and ended."""


def phase_energies(
    telemetry: Path, gpus: Sequence[int], windows: Iterable[Window]
) -> tuple[PhaseEnergy, ...]:
    """Energy of each phase on the GPUs with these indices; none without GPUs.

    A file that cannot be read is a telemetry that covers nothing.
    """
    if not gpus:
        return ()
    try:
        readings = read_gpu_readings(telemetry)
    except OSError:
        readings = {}
    return tuple(
        PhaseEnergy(
            phase=name,
            gpus=tuple(phase_energy(gpu, readings.get(gpu, []), start, end) for gpu in gpus),
        )
        for name, start, end in windows
    )


def read_gpu_readings(telemetry: Path) -> dict[int, list[GpuReading]]:
    """Readings of each GPU by its index, in order of time. Lines that are cut off are left out."""
    found: dict[int, list[GpuReading]] = {}
    with telemetry.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                sample = json.loads(line)
                at = datetime.fromisoformat(sample["at_utc"])
            except (ValueError, KeyError, TypeError):
                continue  # of a run that was killed while it wrote
            for index, gpu in enumerate(sample["gpus"]):
                reading = GpuReading(at_utc=at, power_w=gpu["power_w"], energy_mj=gpu["energy_mj"])
                found.setdefault(index, []).append(reading)
    return found


def phase_energy(
    gpu: int, readings: Sequence[GpuReading], start: datetime, end: datetime
) -> GpuEnergy:
    """Of one GPU from ``start`` to ``end``, both interpolated between the samples around them."""
    around = _window(readings, start, end)
    reason = _hole(around)
    powers = [(_seconds(r.at_utc, start), r.power_w) for r in around if r.power_w is not None]
    counts = [(_seconds(r.at_utc, start), r.energy_mj) for r in around if r.energy_mj is not None]
    length = (end - start).total_seconds()
    if not reason and len(powers) < len(around):
        reason = "the GPU does not tell its power"
    if not reason and len(counts) < len(around):
        reason = "the GPU has no energy counter"
    if not reason and any(b[1] < a[1] for a, b in itertools.pairwise(counts)):
        reason = "the energy counter went back: the driver was loaded again"
    if reason:
        return GpuEnergy(
            gpu=gpu, joules=None, joules_by_power=None, mean_power_w=None, reason=reason
        )
    joules = (_at(counts, length) - _at(counts, 0.0)) / 1000
    by_power = _integral(powers, 0.0, length)
    if abs(by_power - joules) > AGREEMENT * max(joules, by_power):
        reason = (
            f"the counter says {joules:,.0f} J, power over time {by_power:,.0f} J: more than "
            f"{AGREEMENT:.0%} apart"
        )
    return GpuEnergy(
        gpu=gpu,
        joules=None if reason else joules,
        joules_by_power=by_power,
        mean_power_w=None if reason else joules / length,
        reason=reason,
    )


def _window(readings: Sequence[GpuReading], start: datetime, end: datetime) -> list[GpuReading]:
    """From the last reading at or before ``start`` to the first at or after ``end``."""
    before = [index for index, reading in enumerate(readings) if reading.at_utc <= start]
    after = [index for index, reading in enumerate(readings) if reading.at_utc >= end]
    if not before or not after:
        return []
    return list(readings[before[-1] : after[0] + 1])


def _hole(around: Sequence[GpuReading]) -> str:
    if not around:
        return "telemetry does not cover the whole phase"
    if len(around) < LEAST_SAMPLES:
        return f"{len(around)} samples are too few"
    times = [reading.at_utc for reading in around]
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    if min(gaps) <= 0:
        return "the host's clock was set back"
    if max(gaps) > LONGEST_GAP_S:
        at = times[gaps.index(max(gaps))]
        return f"telemetry has a hole of {max(gaps):.1f} s after {at:%H:%M:%S} UTC"
    return ""


def _seconds(at: datetime, start: datetime) -> float:
    return (at - start).total_seconds()


def _at(points: Sequence[tuple[float, float]], at: float) -> float:
    """Linear between the points around ``at``."""
    for (left, low), (right, high) in itertools.pairwise(points):
        if left <= at <= right:
            return low + (high - low) * (at - left) / (right - left)
    raise ValueError(f"{at} is outside the samples")


def _integral(points: Sequence[tuple[float, float]], start: float, end: float) -> float:
    inner = [point for point in points if start < point[0] < end]
    line = [(start, _at(points, start)), *inner, (end, _at(points, end))]
    return sum(
        (low + high) / 2 * (right - left) for (left, low), (right, high) in itertools.pairwise(line)
    )


def total(energies: Iterable[GpuEnergy]) -> float | None:
    """Joules of all GPUs together; None if any has none."""
    values = [energy.joules for energy in energies]
    if not values or any(value is None for value in values):
        return None
    return sum(value for value in values if value is not None)

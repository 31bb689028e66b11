"""Energy of a phase: by the counter, held against power, refused where samples have holes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.energy import (
    GpuEnergy,
    GpuReading,
    phase_energies,
    phase_energy,
    read_gpu_readings,
    total,
)

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def readings(
    power_w: Callable[[float], float], seconds: int = 40, *, counter_share: float = 1.0
) -> list[GpuReading]:
    """One a second from 10 s before the phase; the counter as finely as power is known."""
    found, energy = [], 5e6
    for tick in range(-10, seconds + 10):
        found.append(GpuReading(at_utc=at(tick), power_w=power_w(tick), energy_mj=energy))
        steps = [power_w(tick + i / 100) for i in range(100)]
        energy += counter_share * sum(steps) / 100 * 1000
    return found


def of(samples: list[GpuReading], end: float = 40) -> GpuEnergy:
    return phase_energy(0, samples, START, at(end))


def test_constant_power_is_power_times_time() -> None:
    found = of(readings(lambda _: 165.0), 40)
    assert found.joules == pytest.approx(165 * 40)
    assert found.mean_power_w == pytest.approx(165)
    assert found.reason == ""


def test_a_phase_may_begin_and_end_between_samples() -> None:
    samples = readings(lambda _: 100.0)
    found = phase_energy(0, samples, at(0.4), at(30.7))
    assert found.joules == pytest.approx(100 * 30.3)


def test_power_that_changes_is_followed() -> None:
    found = of(readings(lambda t: 60 + 3 * t))
    assert found.joules == pytest.approx(60 * 40 + 1.5 * 40**2, rel=0.01)
    assert found.joules_by_power == pytest.approx(found.joules, rel=0.02)


@pytest.mark.parametrize(("share", "agrees"), [(0.94, False), (0.96, True), (1.06, False)])
def test_a_counter_that_power_does_not_confirm_is_refused(share: float, agrees: bool) -> None:
    found = of(readings(lambda _: 165.0, counter_share=share))
    assert (found.joules is not None) is agrees
    assert ("apart" in found.reason) is not agrees


def test_a_hole_is_refused_and_named() -> None:
    samples = [r for r in readings(lambda _: 165.0) if not at(20) <= r.at_utc <= at(23)]
    found = of(samples)
    assert found.joules is None
    assert found.reason == "telemetry has a hole of 5.0 s after 12:00:19 UTC"


def test_a_phase_that_telemetry_does_not_cover_is_refused() -> None:
    samples = readings(lambda _: 165.0)
    for start, end in ((-20, 30), (0, 60)):
        found = phase_energy(0, samples, at(start), at(end))
        assert found.joules is None
        assert "cover" in found.reason
    assert "cover" in of([]).reason


def test_too_few_samples_are_refused() -> None:
    assert "too few" in phase_energy(0, readings(lambda _: 1.0), at(0), at(5)).reason


def test_a_counter_that_went_back_is_refused() -> None:
    samples = readings(lambda _: 165.0)
    samples[30] = samples[30].model_copy(update={"energy_mj": 3.0})
    assert "went back" in of(samples).reason


@pytest.mark.parametrize(("missing", "words"), [("power_w", "power"), ("energy_mj", "counter")])
def test_a_gpu_that_does_not_tell_is_named(missing: str, words: str) -> None:
    samples = [r.model_copy(update={missing: None}) for r in readings(lambda _: 165.0)]
    assert words in of(samples).reason


def test_readings_come_from_telemetry_without_its_last_half_line(tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {
                "at_utc": at(tick).isoformat(),
                "gpus": [
                    {"power_w": 100.0, "energy_mj": tick * 1e5},
                    {"power_w": None, "energy_mj": None},
                ],
            }
        )
        for tick in range(3)
    ]
    path = tmp_path / "telemetry.jsonl"
    path.write_text("\n".join(lines) + '\n{"at_utc": "2026-11', encoding="utf-8")
    found = read_gpu_readings(path)
    assert {index: len(items) for index, items in found.items()} == {0: 3, 1: 3}
    assert found[0][2] == GpuReading(at_utc=at(2), power_w=100.0, energy_mj=2e5)


def test_gpus_are_added_up_only_if_all_tell() -> None:
    known = of(readings(lambda _: 165.0))
    assert total([known, known]) == pytest.approx(2 * 165 * 40)
    assert total([known, of([])]) is None
    assert total([]) is None


def write_telemetry(path: Path, seconds: range, power_w: tuple[float, ...]) -> None:
    lines = [
        json.dumps(
            {
                "at_utc": at(tick).isoformat(),
                "gpus": [{"power_w": w, "energy_mj": 1e6 + tick * w * 1000} for w in power_w],
            }
        )
        for tick in seconds
    ]
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def test_each_phase_has_each_gpu_also_after_an_earlier_attempt(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    write_telemetry(path, range(-1, 21), (100.0, 50.0))
    write_telemetry(path, range(60, 90), (100.0, 50.0))
    first, across, second = phase_energies(
        path, [0, 1], [("a", at(0), at(20)), ("b", at(10), at(70)), ("c", at(61), at(89))]
    )
    assert first.phase == "a"
    assert total(first.of([0])) == pytest.approx(2000)
    assert total(first.of([0, 1])) == pytest.approx(3000)
    assert total(second.of([0, 1])) == pytest.approx(150 * 28)
    assert total(second.of([1])) == pytest.approx(50 * 28)
    assert all("hole" in gpu.reason for gpu in across.gpus)


def test_without_gpus_there_is_no_energy_and_without_telemetry_a_reason(tmp_path: Path) -> None:
    window = ("a", at(0), at(20))
    assert phase_energies(tmp_path / "none", [], [window]) == ()
    (found,) = phase_energies(tmp_path / "none", [0], [window])
    assert [(gpu.joules, gpu.reason) for gpu in found.gpus] == [
        (None, "telemetry does not cover the whole phase")
    ]

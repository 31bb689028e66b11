"""Sensors of a phase, from a file that anybody could have written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loadfleet_agent.contract.base import MOST_GPUS
from loadfleet_aggregator import telemetry
from loadfleet_aggregator.telemetry import (
    PhaseTelemetry,
    memory_before_mib,
    phase_telemetry,
    read_telemetry,
)

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


def line(second: float, *gpus: dict[str, Any], **host: Any) -> str:
    at = (START + timedelta(seconds=second)).isoformat()
    return json.dumps({"at_utc": at, "cpu_percent": 10.0, "gpus": list(gpus)} | host)


def read(tmp_path: Path, *lines: str) -> telemetry.Telemetry:
    path = tmp_path / "telemetry.jsonl"
    path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    found = read_telemetry(path)
    assert found is not None
    return found


def phase(found: telemetry.Telemetry, start: float = 0, end: float = 100) -> PhaseTelemetry:
    told = phase_telemetry(found, START + timedelta(seconds=start), START + timedelta(seconds=end))
    assert told is not None
    return told


def test_sums_over_the_samples_of_a_phase(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line(0, {"power_w": 50, "sm_clock_mhz": 300, "temperature_c": 30}),
        *(
            line(second, {"power_w": 300 + second, "sm_clock_mhz": 1400, "temperature_c": 60})
            for second in (1, 2, 3)
        ),
        line(4, {"power_w": 50, "sm_clock_mhz": 300, "temperature_c": 99}),
    )
    told = phase(found, 1, 3)
    assert told.samples == 3
    assert told.cpu_mean_percent == 10.0
    (gpu,) = told.gpus
    assert (gpu.power_mean_w, gpu.sm_clock_median_mhz, gpu.temperature_max_c) == (302, 1400, 60)


def test_shares_of_the_reasons_that_held_the_clock(tmp_path: Path) -> None:
    reasons = [0x1, 0x4, 0x4 | 0x20, 0x20]
    found = read(tmp_path, *(line(i, {"throttle_reasons": r}) for i, r in enumerate(reasons)))
    (gpu,) = phase(found).gpus
    assert gpu.throttled == {"software power cap": 0.5, "software thermal slowdown": 0.5}


def test_counters_tell_what_they_rose_by_also_over_a_reset(tmp_path: Path) -> None:
    counts = [7, 9, 0, 3]
    found = read(tmp_path, *(line(i, {"ecc_corrected": c}) for i, c in enumerate(counts)))
    (gpu,) = phase(found).gpus
    assert gpu.ecc_corrected == 2 + 3
    assert gpu.ecc_uncorrected is None


def test_memory_of_others_is_that_of_the_first_sample(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line(0, {"memory_used_mib": 5000}, {}),
        line(1, {"memory_used_mib": 70_000}, {"memory_used_mib": 600}),
    )
    assert memory_before_mib(found) == (5000, None)


def test_a_gpu_that_comes_later_is_unknown_before(tmp_path: Path) -> None:
    found = read(tmp_path, line(0), line(1, {"power_w": 100}), line(2))
    assert np.isnan(found.gpus[0]["power_w"]).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "value", ["NaN", "-1", "1e999", "true", '"300"', "null", "[1]", "1" + "0" * 400]
)
def test_what_no_sensor_tells_is_unknown(value: str, tmp_path: Path) -> None:
    text = line(0, {"power_w": 0}).replace('"power_w": 0', f'"power_w": {value}')
    (gpu,) = phase(read(tmp_path, text, line(1))).gpus
    assert gpu.power_mean_w is None


@pytest.mark.parametrize(
    "broken",
    [
        '{"at_utc": "2026-08-01T12:00:0',
        '{"at_utc": 5, "gpus": []}',
        '{"gpus": []}',
        "[]",
        "\0\0\0",
        "[" * 60_000,
        "x" * 200_000,
    ],
)
def test_lines_that_are_no_samples_are_left_out(broken: str, tmp_path: Path) -> None:
    assert phase(read(tmp_path, line(0), broken, line(1))).samples == 2


def test_no_more_gpus_than_a_host_can_have(tmp_path: Path) -> None:
    found = read(tmp_path, line(0, *({"power_w": 1} for _ in range(1000))))
    assert len(found.gpus) == MOST_GPUS


def test_neither_a_link_nor_a_huge_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "elsewhere"
    target.write_text(line(0) + "\n")
    (tmp_path / "link").symlink_to(target)
    linked = read_telemetry(tmp_path / "link")
    assert linked is not None
    assert not linked.at_s.size
    monkeypatch.setattr(telemetry, "MAX_BYTES", 10)
    huge = read_telemetry(target)
    assert huge is not None
    assert not huge.at_s.size


def test_without_a_file_or_a_sample_nothing_is_told(tmp_path: Path) -> None:
    assert read_telemetry(tmp_path / "none") is None
    found = read(tmp_path, line(0))
    assert phase_telemetry(found, START + timedelta(hours=1), START + timedelta(hours=2)) is None

"""What telemetry samples, and when; what it reads of a GPU is tested with the stand-in's NVML."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.host.telemetry import Telemetry
from waiting import wait_until


def samples(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_ended_before_the_stop_is_covered(tmp_path: Path) -> None:
    """However short the time since the last sample: here none would be due for an hour."""
    telemetry = Telemetry(tmp_path / "telemetry.jsonl", interval_s=3600)
    telemetry.start()
    ended = utc_now()
    telemetry.stop()
    (last,) = samples(tmp_path / "telemetry.jsonl")
    assert datetime.fromisoformat(last["at_utc"]) >= ended


def test_a_second_attempt_appends(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    for attempt in (1, 2):
        telemetry = Telemetry(path, interval_s=0.01)
        telemetry.start()
        wait_until(path.exists, "a file of samples")
        telemetry.stop()
        assert len(samples(path)) >= attempt
    times = [sample["at_utc"] for sample in samples(path)]
    assert times == sorted(set(times))

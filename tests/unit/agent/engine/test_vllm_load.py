"""The meter keeps what the scheduler told last, whatever else its vLLM tells."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.vllm

PROGRAM = """
from types import SimpleNamespace

from loadfleet_agent.engine.vllm_load import LoadMeter
from vllm.v1.metrics.stats import SchedulerStats

meter = LoadMeter()
print("nothing yet:", meter.load)
first = SchedulerStats(num_running_reqs=9, num_waiting_reqs=1, kv_cache_usage=0.5)
meter.record(first, None)
last = SchedulerStats(
    num_running_reqs=4, num_waiting_reqs=2, num_skipped_waiting_reqs=3, kv_cache_usage=0.25
)
meter.record(scheduler_stats=last, iteration_stats=None, mm_cache_stats=None, engine_idx=0)
meter.record(None, None)
print("last step:", meter.load)

other = LoadMeter()
other.record(SimpleNamespace(num_running=1), None)
print("counts otherwise:", other.load)
"""


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What a program with vLLM prints, which cannot be imported where Ansible has been."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-4000:]
    lines = (line.partition(": ") for line in result.stdout.splitlines())
    return {name: value for name, _, value in lines}


def test_the_last_step_counts(told: dict[str, str]) -> None:
    assert told["nothing yet"] == "None"
    assert told["last step"] == "EngineLoad(running=4, waiting=5, kv_cache=0.25)"


def test_a_vllm_that_counts_otherwise_tells_nothing(told: dict[str, str]) -> None:
    assert told["counts otherwise"] == "None"

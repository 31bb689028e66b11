"""The meter keeps what the scheduler told last, whatever else its vLLM tells."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from loadfleet_agent.engine.base import EngineLoad

pytestmark = pytest.mark.vllm


def test_the_last_step_counts() -> None:
    from loadfleet_agent.engine.vllm_load import LoadMeter
    from vllm.v1.metrics.stats import SchedulerStats

    meter = LoadMeter()
    assert meter.load is None
    meter.record(SchedulerStats(num_running_reqs=9, num_waiting_reqs=1, kv_cache_usage=0.5), None)
    stats = SchedulerStats(
        num_running_reqs=4, num_waiting_reqs=2, num_skipped_waiting_reqs=3, kv_cache_usage=0.25
    )
    meter.record(scheduler_stats=stats, iteration_stats=None, mm_cache_stats=None, engine_idx=0)
    meter.record(None, None)
    assert meter.load == EngineLoad(running=4, waiting=5, kv_cache=0.25)


def test_a_vllm_that_counts_otherwise_tells_nothing() -> None:
    from loadfleet_agent.engine.vllm_load import LoadMeter

    meter = LoadMeter()
    meter.record(SimpleNamespace(num_running=1), None)
    assert meter.load is None

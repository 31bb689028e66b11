"""A host's own bins hold what its files tell, at the controller's time."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import RESULT
from loadfleet_aggregator.timeline.load import EngineLoads
from loadfleet_aggregator.timeline.trace import (
    APART_S,
    MOST_BINS,
    Trace,
    TracedPhase,
    bin_count,
    bin_length,
    host_traces,
)

from ..helpers import HostRun
from .made import run_of, sensors

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
NAN = math.nan


@pytest.fixture(scope="session")
def phase(host_a: HostRun) -> PhaseResult:
    return HostResult.model_validate_json((host_a.folder / RESULT).read_bytes()).phases[0]


def trace_of(*runs: TracedPhase, offset_s: float = 0.0) -> Trace:
    (trace,) = host_traces(runs, None, (), offset_s)
    return trace


class TestTokens:
    def test_count_in_the_bin_in_which_a_sample_ended(self, phase: PhaseResult) -> None:
        trace = trace_of(run_of(phase, START, 5, ends_s=[0.5, 2.0, 2.9, 4.1]))
        assert trace.bin_s == 1
        assert trace.tokens.tolist() == [10, 0, 20, 0, 10, 0]

    def test_come_at_the_controllers_time(self, phase: PhaseResult) -> None:
        ahead = run_of(phase, START + timedelta(seconds=30), 5, ends_s=[0.5])
        assert trace_of(ahead, offset_s=30).first == START.timestamp()

    def test_of_an_agent_that_did_not_tell_its_clock_begin_with_the_first_query(
        self, phase: PhaseResult
    ) -> None:
        run = run_of(phase, START, 5, ends_s=[0.5, 2.5])
        old = replace(run, phase=run.phase.model_copy(update={"started_monotonic_ns": None}))
        assert trace_of(old).tokens.tolist() == trace_of(run).tokens.tolist()

    def test_of_two_runs_are_on_one_time(self, phase: PhaseResult) -> None:
        trace = trace_of(
            run_of(phase, START + timedelta(seconds=8), 2, ends_s=[1.5]),
            run_of(phase, START, 2, ends_s=[1.5]),
        )
        assert np.flatnonzero(trace.tokens).tolist() == [1, 9]
        assert trace.busy.tolist() == [True] * 3 + [False] * 5 + [True] * 3

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
    def test_are_all_there(self, phase: PhaseResult, ends_s: list[float]) -> None:
        trace = trace_of(run_of(phase, START, max(ends_s), ends_s=ends_s))
        assert trace.tokens.size <= MOST_BINS
        # The microsecond of a run's end is rounded, so the last sample may be beyond it.
        assert 10 * len(ends_s) - 10 <= trace.tokens.sum() <= 10 * len(ends_s)


class TestStretches:
    def test_a_long_pause_begins_another(self, phase: PhaseResult) -> None:
        later = START + timedelta(seconds=APART_S + 60)
        traces = host_traces([run_of(phase, START, 5), run_of(phase, later, 5)], None, (), 0.0)
        assert [trace.start_s for trace in traces] == [START.timestamp(), later.timestamp()]

    def test_a_run_that_ends_before_it_begins_is_none(self, phase: PhaseResult) -> None:
        assert host_traces([run_of(phase, START, -1)], None, (), 0.0) == ()


class TestSensors:
    def test_of_several_gpus_are_one(self, phase: PhaseResult) -> None:
        told = sensors(START, [100, 200], [300, 600], [9000, 9000], cpu=[10, 20])
        (trace,) = host_traces([run_of(phase, START, 1)], told, (0, 1), 0.0)
        assert trace.sums["power_w"].tolist() == [400, 800]
        assert trace.sums["sm_clock_mhz"].tolist() == [10, 20]
        assert trace.sums["temperature_c"].tolist() == [30, 60]
        assert trace.sums["cpu_percent"].tolist() == [10, 20]

    def test_a_sum_without_one_of_its_gpus_is_not_known(self, phase: PhaseResult) -> None:
        told = sensors(START, [100], [NAN], cpu=[10])
        (trace,) = host_traces([run_of(phase, START, 0)], told, (), 0.0)
        assert trace.counts["power_w"].tolist() == [0]
        assert trace.sums["temperature_c"].tolist() == [10]

    def test_hold_until_the_next_but_not_for_long(self, phase: PhaseResult) -> None:
        told = sensors(START, cpu=[10, NAN, NAN, NAN, 50])
        (trace,) = host_traces([run_of(phase, START, 5)], told, (), 0.0)
        assert trace.counts["cpu_percent"].tolist() == [1, 1, 1, 0, 1, 1]
        assert trace.sums["cpu_percent"].tolist() == [10, 10, 10, 0, 50, 50]

    def test_are_taken_at_the_controllers_time(self, phase: PhaseResult) -> None:
        ahead = START + timedelta(hours=5)
        told = sensors(ahead, cpu=[10, 20, 30])
        (trace,) = host_traces([run_of(phase, ahead, 2)], told, (), 5 * 3600.0)
        assert trace.sums["cpu_percent"].tolist() == [10, 20, 30]


def test_loads_of_each_run_are_there(phase: PhaseResult) -> None:
    at = START.timestamp() + np.array([0.5, 1.5])
    told = EngineLoads(at, np.array([4.0, 2.0]), np.array([0.0, NAN]), np.array([0.5, 0.25]))
    run = replace(run_of(phase, START, 1), load=told)
    trace = trace_of(run)
    assert trace.sums["running"].tolist() == [4, 2]
    assert trace.sums["waiting"].tolist() == [0, 0]
    assert trace.sums["kv_cache"].tolist() == [0.5, 0.25]


@given(st.floats(-1e9, 1e10), st.floats(0, 1e9), st.integers(24, 300))
def test_bins_are_as_short_as_their_number_lets_them(
    start: float, seconds: float, most: int
) -> None:
    length = bin_length(start, start + seconds, most)
    assert math.log2(length).is_integer()
    assert bin_count(start, start + seconds, length) <= most
    assert length == 1 or bin_count(start, start + seconds, length // 2) > most

"""Latency of single samples is LoadGen's, told from another moment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.benchmark import LATENCY_LIMITS, Mode, Scenario
from loadfleet_agent.contract.loadgen_log import PERCENTILES, LatencyNs
from loadfleet_agent.contract.plan import phase_name
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import PHASES, RESULT, SAMPLES, SUMMARY_LOG
from loadfleet_aggregator.samples.latency import disagreements, latency_curves
from loadfleet_aggregator.samples.model import PROBABILITIES, LatencyCurve
from loadfleet_aggregator.samples.read import Samples, read_samples

from ..helpers import HostRun, make_plan, run_agents
from .made import later, samples_of

MS = 10**6
P99 = PROBABILITIES.index(0.99)


def phases_of(run: HostRun) -> dict[str, PhaseResult]:
    result = HostResult.model_validate_json((run.folder / RESULT).read_bytes())
    return {phase.name: phase for phase in result.phases}


def curves_of(run: HostRun, name: str) -> dict[str, LatencyCurve]:
    phase = phases_of(run)[name]
    samples = read_samples(run.folder / PHASES / name / SAMPLES, phase.samples, answers=False)
    return {curve.metric: curve for curve in latency_curves(samples, phase)}


@pytest.fixture(scope="module")
def server(host_a: HostRun) -> PhaseResult:
    """A real Server run's result, whose log a test may replace."""
    return phases_of(host_a)["server-performance"]


def with_log(phase: PhaseResult, **p99_ns: int) -> PhaseResult:
    told = {
        metric: LatencyNs(
            minimum=0, mean=0, maximum=value, percentiles=dict.fromkeys(PERCENTILES, value)
        )
        for metric, value in p99_ns.items()
    }
    return phase.model_copy(update={"loadgen": phase.loadgen.model_copy(update=told)})


class TestOfARealRun:
    def test_offline_has_latency_alone(self, host_a: HostRun) -> None:
        curves = curves_of(host_a, "offline-performance")
        assert set(curves) == {"latency"}
        assert (curves["latency"].limit_ns, curves["latency"].over_limit) == (None, None)

    def test_server_has_all_three_beside_their_limits(self, host_a: HostRun) -> None:
        curves = curves_of(host_a, "server-performance")
        limits = LATENCY_LIMITS[Scenario.SERVER]
        assert {name: curve.limit_ns for name, curve in curves.items()} == {
            "latency": None,
            "ttft": limits.ttft_ns,
            "tpot": limits.tpot_ns,
        }
        assert curves["ttft"].over_limit == 0.0

    def test_its_percentiles_are_those_of_the_agents_own_result(self, host_a: HostRun) -> None:
        phase = phases_of(host_a)["server-performance"]
        curves = curves_of(host_a, phase.name)
        assert phase.ttft_from_issue_ns is not None
        for curve, told in (
            (curves["latency"], phase.latency_from_issue_ns),
            (curves["ttft"], phase.ttft_from_issue_ns),
        ):
            named = dict(zip(PROBABILITIES, curve.quantiles_ns, strict=True))
            assert [named[p] for p in (0.0, 0.5, 0.9, 0.99, 1.0)] == [
                told.minimum, told.p50, told.p90, told.p99, told.maximum,
            ]  # fmt: skip

    def test_it_does_not_contradict_loadgen(self, host_a: HostRun) -> None:
        for name in ("offline-performance", "server-performance"):
            curves = curves_of(host_a, name)
            told = [text for text in disagreements(tuple(curves.values())) if "contradict" in text]
            assert told == []
            assert curves["latency"].loadgen_p99_ns is not None
            assert curves["latency"].difference is not None


def test_the_bound_of_a_single_stream_run_is_loadgens_estimate(tmp_path: Path) -> None:
    edge: dict[str, Any] = {
        "suite": "edge",
        "scenarios": ["SingleStream"],
        "modes": ["performance"],
        "length": {"samples": 1000},
    }
    (run,) = run_agents(tmp_path, [make_plan("host-e", **edge)])
    name = phase_name(Scenario.SINGLE_STREAM, Mode.PERFORMANCE)
    curve = curves_of(run, name)["ttft"]
    text = (run.folder / PHASES / name / SUMMARY_LOG).read_text("utf-8")
    estimate = re.search(
        r"TTFT Early.*?99.0th percentile estimate: (\d+)", text.split("TPOT Early")[0], re.DOTALL
    )
    assert curve.samples >= 1000
    assert estimate is not None
    assert curve.p99_bound_ns is not None
    # LoadGen's clock starts before the query is handed over, and stops after the answer is.
    assert curve.p99_bound_ns <= int(estimate[1]) <= curve.p99_bound_ns + 50 * MS


class TestCurve:
    @given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
    def test_rises_from_the_least_to_the_greatest(
        self, server: PhaseResult, latencies: list[int]
    ) -> None:
        for curve in latency_curves(samples_of(latencies), server):
            assert list(curve.quantiles_ns) == sorted(curve.quantiles_ns)
            assert len(curve.quantiles_ns) == len(PROBABILITIES)
        latency = latency_curves(samples_of(latencies), server)[0]
        assert latency.quantiles_ns[0] == min(latencies)
        assert latency.quantiles_ns[-1] == max(latencies)

    @given(
        st.lists(st.integers(0, 10**12), min_size=1, max_size=100),
        st.integers(0, 10**15),
        st.data(),
    )
    def test_is_the_same_in_any_order_and_at_any_time(
        self, server: PhaseResult, latencies: list[int], ahead: int, data: st.DataObject
    ) -> None:
        shuffled = data.draw(st.permutations(latencies))
        one = latency_curves(samples_of(latencies), server)
        assert latency_curves(later(samples_of(shuffled), ahead), server) == one

    def test_tells_the_share_over_a_limit(self, server: PhaseResult) -> None:
        limit = LATENCY_LIMITS[Scenario.SERVER].ttft_ns
        samples = samples_of([limit] * 3 + [limit + 1], ttft=1.0)
        _, ttft, _ = latency_curves(samples, server)
        assert ttft.over_limit == 0.25

    def test_of_tpot_leaves_out_answers_of_one_token(self, server: PhaseResult) -> None:
        samples = samples_of([100, 100, 100], tokens=[1, 2, 6], ttft=0.5)
        curves = {curve.metric: curve for curve in latency_curves(samples, server)}
        assert curves["tpot"].samples == 2
        assert (curves["tpot"].quantiles_ns[0], curves["tpot"].quantiles_ns[-1]) == (10, 50)
        alone = latency_curves(samples_of([100], tokens=[1]), server)
        assert {curve.metric for curve in alone} == {"latency", "ttft"}


class TestDisagreement:
    def told(self, phase: PhaseResult, samples: Samples, **p99_ns: int) -> tuple[str, ...]:
        return disagreements(latency_curves(samples, with_log(phase, **p99_ns)))

    def test_is_told_where_ours_is_larger(self, server: PhaseResult) -> None:
        samples = samples_of([2000 * MS] * 10, ttft=0.0, tokens=[201] * 10)
        (text,) = self.told(server, samples, latency=1000 * MS, ttft=0, tpot=10 * MS)
        assert "p99 of latency is 2,000.0 ms by single samples and 1,000.0 ms by LoadGen" in text
        assert "contradict" in text

    def test_is_told_of_tpot_on_both_sides(self, server: PhaseResult) -> None:
        samples = samples_of([1000 * MS] * 10, ttft=0.0, tokens=[11] * 10)
        for theirs in (50, 200):
            (text,) = self.told(server, samples, latency=1000 * MS, ttft=0, tpot=theirs * MS)
            assert "p99 of tpot" in text

    def test_is_none_within_what_a_busy_host_adds(self, server: PhaseResult) -> None:
        samples = samples_of([1000 * MS] * 10, ttft=0.5, tokens=[11] * 10)
        assert not self.told(server, samples, latency=900 * MS, ttft=450 * MS, tpot=46 * MS)

    def test_names_the_delay_of_a_loadgen_that_is_late(self, server: PhaseResult) -> None:
        samples = samples_of([1000 * MS] * 10, ttft=0.5, tokens=[11] * 10)
        slow = self.told(server, samples, latency=5000 * MS, ttft=4500 * MS, tpot=50 * MS)
        assert len(slow) == 2
        assert all("later than they were due" in text for text in slow)

"""Hosts are compared by what their scenario leaves to them."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.result import HostResult, RateResult
from loadfleet_aggregator.stragglers.speeds import host_speeds

from ..helpers import HostRun
from ..report.gpu_hosts import gpu_host


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> HostResult:
    run: HostRun = gpu_host(tmp_path_factory.mktemp("speeds") / "run", "gpu-01")
    found = run.read(run.folder).result
    assert found is not None
    return found


def test_offline_by_throughput_and_a_given_rate_by_the_pace_of_its_answers(
    result: HostResult,
) -> None:
    offline, server = result.phases
    assert server.loadgen.tpot is not None
    told = {speed.metric: speed for speed in host_speeds(result)}
    assert set(told) == {"Offline tokens/s", "Server tokens/s of a query"}
    assert told["Offline tokens/s"].value == offline.loadgen.tokens_per_second
    tpot_ns = server.loadgen.tpot.percentiles["50.00"]
    assert told["Server tokens/s of a query"].value == pytest.approx(1e9 / tpot_ns)
    work = offline.input_tokens.mean + offline.output_tokens.mean
    assert told["Offline tokens/s"].work == pytest.approx(work)


def test_a_rate_that_the_host_found_is_its_speed(result: HostResult) -> None:
    server = result.phases[1]
    found = RateResult(
        name="server-rate", scenario=Scenario.SERVER, plan_hash=result.plan_hash,
        started_utc=server.started_utc, ended_utc=server.ended_utc, probes=(),
        offline_samples_per_second=30.0, highest_held_qps=20.0, margin=0.02, target_qps=19.6,
    )  # fmt: skip
    told = {s.metric: s.value for s in host_speeds(result.model_copy(update={"rates": (found,)}))}
    assert told["Server tokens/s"] == server.loadgen.tokens_per_second


def test_a_single_stream_by_its_latency(result: HostResult) -> None:
    server = result.phases[1]
    alone = server.model_copy(update={"scenario": Scenario.SINGLE_STREAM})
    assert alone.loadgen.latency is not None
    (speed,) = host_speeds(result.model_copy(update={"phases": (alone,)}))
    assert speed.metric == "SingleStream queries/s at p90"
    assert speed.value == pytest.approx(1e9 / alone.loadgen.latency.percentiles["90.00"])


def test_only_performance_runs_tell_a_speed(result: HostResult) -> None:
    accuracy = result.phases[0].model_copy(update={"mode": Mode.ACCURACY})
    assert host_speeds(result.model_copy(update={"phases": (accuracy,)})) == ()

"""How long a plan takes and how much room: the reference's figures, searches, real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract import estimate as contract
from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.duration import duration_text
from loadfleet_agent.contract.estimate import RunEstimate, StepEstimate, estimate_run
from loadfleet_agent.contract.estimate_text import describe_estimate
from loadfleet_agent.contract.settings import parse_settings, resolve_plan

from ..helpers import plan_of
from ..loadgen.processes import run_phase_apart

OFFICIAL: dict[str, Any] = {
    "profile": "a30-bf16",
    "model": {"source": "hub", "repo": "meta-llama/Llama-3.1-8B-Instruct", "revision": "main"},
    "dataset": {"source": "file", "path": "/datasets/cnn_eval.json"},
}


def _official(rate: float | None = None, **changes: Any) -> RunEstimate:
    settings = parse_settings(OFFICIAL | changes)
    return estimate_run(resolve_plan(settings, run_id="run", host="host"), rate)


def _step(estimate: RunEstimate, name: str) -> StepEstimate:
    return next(step for step in estimate.steps if step.name == name)


@pytest.mark.parametrize(
    ("rate", "text"), [(3, "74 min"), (5, "45 min"), (8, "28 min"), (10, "22 min")]
)
def test_a_pass_at_the_rates_of_one_a30(rate: float, text: str) -> None:
    for estimate in (_official(offline_target_qps=rate), _official(rate)):
        for mode in ("performance", "accuracy"):
            step = _step(estimate, f"offline-{mode}")
            assert step.samples == 13_368
            assert step.seconds is not None
            assert duration_text(step.seconds) == text


@pytest.mark.parametrize(("qps", "text"), [(4, "56 min"), (9.36, "24 min")])
def test_a_server_pass_takes_as_long_as_its_rate_says(qps: float, text: str) -> None:
    estimate = _official(server_target_qps=qps, offline_target_qps=12)
    for mode in ("performance", "accuracy"):
        step = _step(estimate, f"server-{mode}")
        assert step.samples == 13_368
        assert step.seconds is not None
        assert duration_text(step.seconds) == text
        assert f"at {qps:g}/s" in step.why


def test_a_published_run_lasted_as_long_as_expected() -> None:
    """Red Hat's L40S (v5.1): 13,368 queries in 1,426 s, their rate being 9.4/s."""
    seconds = _step(_official(server_target_qps=9.4), "server-performance").seconds
    assert seconds == pytest.approx(1426, rel=0.01)


def test_a_closed_package_at_five_a_second() -> None:
    """The reference's sum: 53,472 samples and 2 x 100 for TEST06 take about 3.0 h."""
    estimate = _official(
        offline_target_qps=5, server_target_qps=5, modes=["performance", "accuracy", "test06"]
    )
    assert sum(step.samples for step in estimate.steps) == 53_472 + 200
    assert estimate.total_seconds == pytest.approx(3.0 * 3600, rel=0.01)
    assert not estimate.total_is_least
    assert estimate.advice == ()


def test_offline_doubles_above_a_rate_and_says_so() -> None:
    one = _step(_official(offline_target_qps=20.25), "offline-performance")
    two = _step(_official(offline_target_qps=20.3), "offline-performance")
    assert (one.samples, two.samples) == (13_368, 26_736)
    assert one.seconds is not None
    assert two.seconds is not None
    assert two.seconds == pytest.approx(2 * one.seconds, rel=0.01)
    assert two.why.startswith("2 passes of 13,368 at 20.3/s (1.1 x 10 min x 20.3/s is 13,398")


def test_the_steps_are_in_the_order_in_which_a_run_does_them() -> None:
    estimate = _official(scenarios=["Server", "Offline"], modes=["accuracy", "performance"])
    assert [step.name for step in estimate.steps] == [
        "server-rate",
        "server-accuracy",
        "server-performance",
        "offline-rate",
        "offline-accuracy",
        "offline-performance",
    ]


def test_without_any_rate_only_the_least_is_known() -> None:
    estimate = _official()
    assert estimate.total_is_least
    # 600 s of each performance run, and two short runs of 60 s.
    assert estimate.total_seconds == 2 * 600 + 2 * 60
    assert all(step.seconds is None for step in estimate.steps)
    server = _step(estimate, "server-performance")
    assert (server.samples, server.samples_is_least) == (13_368, True)
    assert "45 min at 5/s" in server.why


def test_what_the_host_does_makes_everything_known() -> None:
    estimate = _official(9.0)
    assert not estimate.total_is_least
    assert _step(estimate, "offline-rate").samples == 512  # four full batches
    search = _step(estimate, "server-rate")
    # 8 short runs at 0.85 x 9/s: 600 queries take longer than 60 s.
    assert search.samples == 8 * 600
    assert search.seconds == pytest.approx(8 * 600 / (0.85 * 9))
    server = _step(estimate, "server-performance")
    assert server.seconds == pytest.approx(13_368 / (0.95 * 0.85 * 9))


def test_a_search_of_a_fast_host_lasts_for_its_least_duration() -> None:
    search = _step(_official(100.0), "server-rate")
    assert search.samples == 8 * 60 * 85
    assert search.seconds == pytest.approx(8 * 60)


def test_a_search_without_an_offline_run_before_it_measures_that_first() -> None:
    alone = _step(_official(9.0, scenarios=["Server"]), "server-rate")
    after = _step(_official(9.0), "server-rate")
    assert alone.samples == after.samples + 512
    assert alone.seconds == pytest.approx((after.seconds or 0) + 512 / 9)
    assert "after a burst of 512 samples" in alone.why


def test_single_stream_is_known_to_last_at_least_ten_minutes() -> None:
    estimate = _official(suite="edge", offline_target_qps=5)
    step = _step(estimate, "singlestream-performance")
    assert (step.seconds, step.least_seconds) == (None, 600)
    assert step.samples_is_least
    assert step.samples == 5_000
    assert _step(estimate, "singlestream-accuracy").samples == 5_000
    assert estimate.total_is_least


def test_a_server_pass_needs_its_rate_only() -> None:
    estimate = _official(scenarios=["Server"], server_target_qps=4)
    assert not estimate.total_is_least
    assert estimate.total_seconds == pytest.approx(2 * 13_368 / 4)


def test_accuracy_logs_of_an_official_run_take_15_mb() -> None:
    """Measured: LoadGen 6.0.17 writes 15,030,151 bytes for 13,368 answers of 128 tokens."""
    kept = _step(_official(offline_target_qps=5), "offline-accuracy").disk_bytes
    without = _step(_official(offline_target_qps=5), "offline-performance").disk_bytes
    assert 15_030_151 <= kept - without <= 1.02 * 15_030_151


@pytest.mark.parametrize("mode", Mode)
def test_a_real_phase_takes_the_disk_that_was_expected(tmp_path: Path, mode: Mode) -> None:
    plan = plan_of(
        Suite.DATACENTER,
        length={"samples": 5_000, "server_queries": 500},
        server_target_qps=5_000,
        # The longest answer of the scripted engine; its mean is 6.
        generation={"max_tokens": 9},
    )
    run_phase_apart(plan, "answers", Scenario.SERVER, mode, tmp_path / "phase")
    real = sum(path.stat().st_size for path in (tmp_path / "phase").iterdir())
    expected = _step(estimate_run(plan), f"server-{mode}").disk_bytes
    assert 0.3 * expected < real <= expected
    if mode is Mode.ACCURACY:
        assert real > 0.75 * expected


def test_the_disk_grows_with_the_time_that_telemetry_is_written() -> None:
    slow, fast = (_official(offline_target_qps=5, server_target_qps=qps) for qps in (1, 4))
    assert slow.disk_bytes - fast.disk_bytes == pytest.approx(
        contract.TELEMETRY_BYTES_PER_S * (slow.total_seconds - fast.total_seconds), abs=1
    )


class TestText:
    def test_of_a_plan_whose_rates_are_known(self) -> None:
        modes = ["performance", "accuracy", "test06"]
        estimate = _official(offline_target_qps=5, server_target_qps=4, modes=modes)
        assert describe_estimate(estimate) == [
            "run                  samples  expected",
            "offline-performance   13,368    45 min  1 pass of 13,368 at 5/s "
            "(1.1 x 10 min x 5/s is 3,300, padded to whole passes)",
            "offline-accuracy      13,368    45 min  each sample of the dataset once at 5/s",
            "offline-test06           100      20 s  the compliance test at 5/s",
            "server-performance    13,368    56 min  1 pass of 13,368 at 4/s "
            "(equal issue: whole passes until 10 min are over), TTFT within 2,000 ms",
            "server-accuracy       13,368    56 min  each sample of the dataset once at 4/s",
            "server-test06            100      25 s  the compliance test at 4/s",
            "total                3 h 21 min, loading the model and scoring aside",
            "disk                 40.1 MB in the run's folder, the model aside",
        ]

    def test_says_what_is_a_least_only(self) -> None:
        lines = describe_estimate(_official())
        server = next(line for line in lines if line.startswith("server-performance"))
        assert server.split()[1:4] == ["13,368+", "10", "min+"]
        accuracy = next(line for line in lines if line.startswith("offline-accuracy"))
        assert accuracy.split()[1:4] == ["13,368", "not", "known"]
        (total,) = (line for line in lines if line.startswith("total"))
        assert "22 min+ (+: at least" in total

    def test_names_each_advice_with_its_setting(self) -> None:
        estimate = _official(generation={"max_tokens": 64}, server_target_qps=0.5)
        lines = describe_estimate(estimate)
        assert "open division only: generation.max_tokens: 64; closed asks for 128" in lines
        assert any(line.startswith("unwise: server_target_qps: a pass of 13,368") for line in lines)
        assert len(lines) == 1 + len(estimate.steps) + 2 + len(estimate.advice)

"""LoadGen's settings arrive as after a direct FromConfig."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import (
    LATENCY_LIMITS,
    SCENARIOS,
    Mode,
    Scenario,
    Seeds,
    Suite,
    dataset_samples,
    loadgen_model,
    round_of_seeds,
)
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.loadgen.settings import expected_samples, resolve_settings, user_conf

from ..helpers import make_plan, plan_of
from .processes import ALL, logged_settings, run_directly, run_phase_apart

LENGTH_CUT = {"min_duration_ms": 0, "max_duration_ms": 2000}
"""An official run takes 10 minutes; both ways are cut in the same place."""


BENCHMARKS = [(suite, scenario) for suite in Suite for scenario in SCENARIOS[suite]]


def _official(suite: Suite) -> RunPlan:
    settings: dict[str, Any] = {
        "suite": suite,
        "scenarios": SCENARIOS[suite],
        "profile": "null-engine",
        "model": {"source": "tiny"},
        "dataset": {"source": "synthetic"},
        "offline_target_qps": 6.5,
        "server_target_qps": 4000,
        "interactive_target_qps": 3000,
    }
    return resolve_plan(parse_settings(settings), run_id="run", host="host")


@pytest.mark.parametrize(("suite", "scenario", "mode"), ALL)
@pytest.mark.parametrize("length", ["short", "official"])
def test_every_logged_setting_equals_a_direct_run(
    tmp_path: Path, length: str, suite: Suite, scenario: Scenario, mode: Mode
) -> None:
    plan = plan_of(suite, offline_target_qps=6.5) if length == "short" else _official(suite)
    fields = LENGTH_CUT if length == "official" else None
    run_phase_apart(plan, "answers", scenario, mode, tmp_path / "ours", fields)
    run_directly(plan, scenario, mode, tmp_path / "ours", tmp_path / "direct", fields)
    ours, direct = logged_settings(tmp_path / "ours"), logged_settings(tmp_path / "direct")
    assert len(direct) > 40
    assert ours == direct


@pytest.mark.parametrize(("suite", "scenario"), BENCHMARKS)
def test_an_official_plan_gets_mlperfs_own_values(
    tmp_path: Path, suite: Suite, scenario: Scenario
) -> None:
    plan = _official(suite)
    conf = tmp_path / "user.conf"
    conf.write_text(user_conf(plan, scenario, plan.scenario(scenario).target_qps))
    fields = resolve_settings(conf, suite, scenario)
    seeds = Seeds(
        qsl=int(fields["qsl_rng_seed"]),
        sample_index=int(fields["sample_index_rng_seed"]),
        schedule=int(fields["schedule_rng_seed"]),
    )
    assert round_of_seeds(seeds) is not None
    assert fields["min_duration_ms"] == 600_000
    assert fields["performance_sample_count_override"] == dataset_samples(suite)
    assert fields["sample_concatenate_permutation"] is True
    assert fields["use_token_latencies"] is True
    if scenario.paced:
        limits = LATENCY_LIMITS[scenario]
        assert fields["server_target_qps"] == plan.scenario(scenario).target_qps
        assert fields["ttft_latency"] == limits.ttft_ns
        assert fields["tpot_latency"] == limits.tpot_ns
    elif scenario is Scenario.OFFLINE:
        assert fields["offline_expected_qps"] == 6.5


@pytest.mark.parametrize(("suite", "scenario"), BENCHMARKS)
def test_the_conf_of_an_official_plan_sets_the_rate_alone(suite: Suite, scenario: Scenario) -> None:
    plan = _official(suite)
    text = user_conf(plan, scenario, plan.scenario(scenario).target_qps)
    (line,) = text.splitlines()
    key = "target_latency" if scenario is Scenario.SINGLE_STREAM else "target_qps"
    assert line.startswith(f"{loadgen_model(suite, scenario)}.{scenario.loadgen}.{key} = ")


@pytest.mark.parametrize("qps", [0.0001, 0.123456789, 4, 1234567.5])
def test_the_rate_reaches_loadgen_with_all_its_digits(tmp_path: Path, qps: float) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text(user_conf(make_plan(), Scenario.SERVER, qps))
    fields = resolve_settings(conf, Suite.DATACENTER, Scenario.SERVER)
    assert fields["server_target_qps"] == pytest.approx(qps, rel=1e-9)


def test_a_second_fromconfig_in_one_process_gives_other_values(tmp_path: Path) -> None:
    """Why the settings are read in a process of their own: the benchmark's are there only once."""
    conf = tmp_path / "user.conf"
    conf.write_text(user_conf(make_plan(), Scenario.SERVER, 4.0))
    script = f"""
import json, mlperf_loadgen as loadgen
for _ in range(2):
    settings = loadgen.TestSettings()
    settings.FromConfig({str(conf)!r}, "llama3_1-8b", "Server")
    names = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed", "use_token_latencies")
    print(json.dumps({{name: getattr(settings, name) for name in names}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    first, second = map(json.loads, done.stdout.splitlines()[-2:])
    ours = resolve_settings(conf, Suite.DATACENTER, Scenario.SERVER)
    assert {name: ours[name] for name in first} == first
    assert all(second[name] != first[name] for name in first), (first, second)


def test_our_way_works_any_number_of_times(tmp_path: Path) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text(user_conf(make_plan(), Scenario.SERVER, 4.0))
    first = resolve_settings(conf, Suite.DATACENTER, Scenario.SERVER)
    assert resolve_settings(conf, Suite.DATACENTER, Scenario.SERVER) == first


def test_a_conf_that_loadgen_refuses_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RunFailure) as caught:
        resolve_settings(tmp_path / "none.conf", Suite.DATACENTER, Scenario.OFFLINE)
    assert caught.value.code is FailureCode.LOADGEN
    assert "none.conf" in caught.value.message


@pytest.mark.parametrize(("suite", "scenario", "mode"), ALL)
def test_the_expected_samples_are_those_that_loadgen_issues(
    tmp_path: Path, suite: Suite, scenario: Scenario, mode: Mode
) -> None:
    length = {"samples": 64, "server_queries": 100, "min_duration_ms": 500}
    plan = plan_of(suite, length=length, offline_target_qps=300)
    outcome = run_phase_apart(plan, "answers", scenario, mode, tmp_path / "phase")
    fields = resolve_settings(tmp_path / "phase" / "user.conf", suite, scenario)
    expected = expected_samples(fields, scenario, mode, 64)
    issued = outcome["result"]["loadgen"]["sample_count"]
    if scenario is Scenario.SINGLE_STREAM and mode is Mode.PERFORMANCE:
        assert issued >= expected == 64  # until 500 ms are over
    else:
        assert issued == expected


@pytest.mark.parametrize(("suite", "scenario"), BENCHMARKS)
def test_an_official_accuracy_run_takes_the_whole_dataset(suite: Suite, scenario: Scenario) -> None:
    samples = dataset_samples(suite)
    assert expected_samples({}, scenario, Mode.ACCURACY, samples) == samples

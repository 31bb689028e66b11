"""The arithmetic of how much LoadGen issues, against LoadGen itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.query_count import (
    LONGEST_SCHEDULE,
    QueryRules,
    fixed_samples,
    performance_samples,
    plan_rules,
)
from loadfleet_agent.loadgen.settings import resolve_settings, user_conf

from ..helpers import make_plan, plan_of
from ..loadgen.processes import find_rate_apart, run_phase_apart

SHORT = {"samples": 64, "server_queries": 100}
HALF_A_SECOND = SHORT | {"min_duration_ms": 500}


def _expected(plan: RunPlan, scenario: Scenario, mode: Mode) -> int:
    if mode is not Mode.PERFORMANCE:
        return fixed_samples(mode, plan.samples)
    rules = plan_rules(plan, scenario, plan.scenario(scenario).target_qps)
    return performance_samples(rules, scenario)


def _generated(plan: RunPlan, scenario: Scenario, mode: Mode, folder: Path, **fields: int) -> int:
    """Samples of a real LoadGen run."""
    outcome = run_phase_apart(plan, "answers", scenario, mode, folder, fields)
    return int(outcome["result"]["loadgen"]["sample_count"])


SHORT_PLANS: list[tuple[Scenario, Mode, dict[str, Any], int]] = [
    (Scenario.OFFLINE, Mode.PERFORMANCE, {}, 64),
    # 1.1 x 0.5 s x the rate, padded to whole passes.
    (Scenario.OFFLINE, Mode.PERFORMANCE, {"offline_target_qps": 118}, 64),
    (Scenario.OFFLINE, Mode.PERFORMANCE, {"offline_target_qps": 119}, 128),
    (Scenario.OFFLINE, Mode.PERFORMANCE, {"offline_target_qps": 300}, 192),
    # 100 queries, then as many as 0.5 s take.
    (Scenario.SERVER, Mode.PERFORMANCE, {"server_target_qps": 150}, 128),
    (Scenario.SERVER, Mode.PERFORMANCE, {"server_target_qps": 600}, 320),
    (Scenario.INTERACTIVE, Mode.PERFORMANCE, {"interactive_target_qps": 300}, 192),
    (Scenario.OFFLINE, Mode.ACCURACY, {}, 64),
    (Scenario.SERVER, Mode.ACCURACY, {}, 64),
    (Scenario.SINGLE_STREAM, Mode.ACCURACY, {}, 64),
    (Scenario.OFFLINE, Mode.TEST06, {}, 100),
    (Scenario.SERVER, Mode.TEST06, {}, 100),
]


@pytest.mark.parametrize(("scenario", "mode", "rates", "samples"), SHORT_PLANS)
def test_a_short_run_issues_as_many_as_expected(
    tmp_path: Path, scenario: Scenario, mode: Mode, rates: dict[str, Any], samples: int
) -> None:
    suite = Suite.EDGE if scenario is Scenario.SINGLE_STREAM else Suite.DATACENTER
    length = HALF_A_SECOND if rates else SHORT
    plan = plan_of(suite, **({"length": length} | rates))
    assert _expected(plan, scenario, mode) == samples
    assert _generated(plan, scenario, mode, tmp_path / "phase") == samples


OFFICIAL: list[tuple[Suite, Scenario, float | None, int]] = [
    (Suite.DATACENTER, Scenario.OFFLINE, 5, 13_368),
    (Suite.DATACENTER, Scenario.OFFLINE, 20.255, 13_368),
    (Suite.DATACENTER, Scenario.OFFLINE, 20.26, 26_736),
    (Suite.EDGE, Scenario.OFFLINE, 7.57, 5_000),
    (Suite.EDGE, Scenario.OFFLINE, 7.58, 10_000),
    (Suite.DATACENTER, Scenario.SERVER, 4, 13_368),
    # One pass fills 600 s up to 22.28/s by the mean of the schedule, but less by its seed.
    (Suite.DATACENTER, Scenario.SERVER, 22.075, 13_368),
    (Suite.DATACENTER, Scenario.SERVER, 22.076, 26_736),
    (Suite.DATACENTER, Scenario.SERVER, 45.13, 40_104),
    (Suite.DATACENTER, Scenario.INTERACTIVE, 22.075, 13_368),
]


@pytest.mark.parametrize(("suite", "scenario", "qps", "samples"), OFFICIAL)
def test_an_official_run_issues_as_many_as_expected(
    tmp_path: Path, suite: Suite, scenario: Scenario, qps: float, samples: int
) -> None:
    rates = {f"{scenario.value.lower()}_target_qps": qps}
    plan = plan_of(suite, length="official", **rates)
    assert _expected(plan, scenario, Mode.PERFORMANCE) == samples
    # What is generated is logged before the first query is sent; the rest is cut.
    phase = tmp_path / "phase"
    assert _generated(plan, scenario, Mode.PERFORMANCE, phase, max_duration_ms=200) == samples


@pytest.mark.parametrize("length", ["official", SHORT, HALF_A_SECOND], ids=str)
def test_single_stream_issues_as_many_as_expected_at_least(
    tmp_path: Path, length: str | dict[str, int]
) -> None:
    plan = plan_of(Suite.EDGE, length=length)
    folder = tmp_path / "phase"
    generated = _generated(
        plan, Scenario.SINGLE_STREAM, Mode.PERFORMANCE, folder, max_duration_ms=200
    )
    assert generated == _expected(plan, Scenario.SINGLE_STREAM, Mode.PERFORMANCE)


def test_a_search_draws_as_many_as_expected_without_padding(tmp_path: Path) -> None:
    search = {"queries": 459, "duration_s": 1.0, "probes": 3}
    plan = make_plan(length=SHORT, rate_search=search, server_target_qps=None)
    outcome = find_rate_apart(plan, "answers", Scenario.SERVER, tmp_path / "rate", 600)
    probes = outcome["result"]["probes"]
    assert len(probes) == 3
    rules = plan_rules(plan, Scenario.SERVER, 1.0)
    for probe in probes:
        changes = {
            "target_qps": probe["target_qps"],
            "min_query_count": 459,
            "min_duration_s": 1.0,
            "whole_passes": False,
        }
        assert probe["queries"] == performance_samples(
            rules.model_copy(update=changes), Scenario.SERVER
        )
    assert max(probe["queries"] for probe in probes) > 459


@pytest.mark.parametrize("length", ["official", SHORT], ids=str)
@pytest.mark.parametrize(
    ("suite", "scenario"),
    [
        (Suite.DATACENTER, Scenario.OFFLINE),
        (Suite.DATACENTER, Scenario.SERVER),
        (Suite.DATACENTER, Scenario.INTERACTIVE),
        (Suite.EDGE, Scenario.OFFLINE),
        (Suite.EDGE, Scenario.SINGLE_STREAM),
    ],
)
def test_the_rules_are_those_that_loadgen_reads(
    tmp_path: Path, suite: Suite, scenario: Scenario, length: str | dict[str, int]
) -> None:
    plan = plan_of(suite, length=length, offline_target_qps=7.5)
    qps = plan.scenario(scenario).target_qps
    conf = tmp_path / "user.conf"
    conf.write_text(user_conf(plan, scenario, qps))
    fields = resolve_settings(conf, suite, scenario)
    rules = plan_rules(plan, scenario, qps)
    rates = {
        Scenario.OFFLINE: fields["offline_expected_qps"],
        Scenario.SINGLE_STREAM: 1e9 / fields["single_stream_expected_latency_ns"],
    }
    assert rules == QueryRules(
        dataset_samples=plan.samples,
        min_query_count=int(fields["min_query_count"]),
        min_duration_s=fields["min_duration_ms"] / 1000,
        target_qps=rates.get(scenario, fields["server_target_qps"]),
        whole_passes=bool(fields["sample_concatenate_permutation"]),
        schedule_seed=int(fields["schedule_rng_seed"]),
    )


def test_a_schedule_too_long_to_draw_is_counted_by_its_mean() -> None:
    plan = plan_of(Suite.DATACENTER, length="official")
    qps = 1e9
    samples = performance_samples(plan_rules(plan, Scenario.SERVER, qps), Scenario.SERVER)
    assert qps * 600 > LONGEST_SCHEDULE
    assert 0 <= samples - qps * 600 < plan.samples
    assert samples % plan.samples == 0

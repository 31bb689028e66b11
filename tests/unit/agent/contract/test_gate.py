"""The gate: each rule by itself, and real submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import (
    DATASET_SAMPLES,
    SEEDS_BY_ROUND,
    Mode,
    Scenario,
    Seeds,
    Suite,
    dataset_samples,
)
from loadfleet_agent.contract.gate import (
    Expectation,
    GateFinding,
    GateRule,
    check_configurations,
    check_run,
)
from loadfleet_agent.contract.loadgen_log import LoadgenResult, read_loadgen_logs


def _expected(result: LoadgenResult, **changes: Any) -> Expectation:
    """What records that agree with the log would say.

    The tokens of each answer are those of the log's throughputs: submissions of a fixed length
    count 128 or, with the stop token, 129.
    """
    assert result.samples_per_second
    assert result.tokens_per_second
    tokens = round(result.tokens_per_second / result.samples_per_second)
    values: dict[str, Any] = {
        "suite": Suite.DATACENTER,
        "scenario": Scenario(result.scenario),
        "mode": Mode.PERFORMANCE,
        "official_length": True,
        "samples": result.performance_sample_count,
        "answered": result.sample_count,
        "output_tokens": tokens * result.sample_count,
        "fewest_output_tokens": tokens,
        "most_output_tokens": tokens,
        "max_tokens": max(128, tokens),
        "test06_passed": None,
    }
    return Expectation(**(values | changes))


@pytest.fixture
def server(mlperf_logs: Path) -> LoadgenResult:
    return read_loadgen_logs(mlperf_logs / "redhat-l40s/server")


REAL = [
    ("redhat-l40s/offline", Suite.DATACENTER, Scenario.OFFLINE),
    ("redhat-l40s/server", Suite.DATACENTER, Scenario.SERVER),
    ("nvidia-b200x8/interactive", Suite.DATACENTER, Scenario.INTERACTIVE),
    ("intel-b60-edge/offline", Suite.EDGE, Scenario.OFFLINE),
    ("intel-b60-edge/singlestream", Suite.EDGE, Scenario.SINGLE_STREAM),
    ("gateoverflow-rtx4090x2-reference/offline", Suite.EDGE, Scenario.OFFLINE),
]


@pytest.mark.parametrize(("run", "suite", "scenario"), REAL)
def test_real_submissions_pass(
    mlperf_logs: Path, run: str, suite: Suite, scenario: Scenario
) -> None:
    result = read_loadgen_logs(mlperf_logs / run)
    assert result.performance_sample_count == dataset_samples(suite)
    assert check_run(result, _expected(result, suite=suite, scenario=scenario)) == ()


@pytest.mark.parametrize(("run", "suite", "scenario"), REAL)
@pytest.mark.parametrize("other", Scenario)
def test_real_submissions_fail_as_another_scenario(
    mlperf_logs: Path, run: str, suite: Suite, scenario: Scenario, other: Scenario
) -> None:
    result = read_loadgen_logs(mlperf_logs / run)
    found = {
        item.rule for item in check_run(result, _expected(result, suite=suite, scenario=other))
    }
    if other is scenario:
        assert not found
    elif other.loadgen == scenario.loadgen:
        assert found == {GateRule.LATENCY_LIMITS}
    else:
        assert GateRule.RIGHT_RUN in found


OTHER_SEEDS = Seeds(qsl=1, sample_index=2, schedule=3)

ALONE: list[tuple[GateRule, dict[str, Any], dict[str, Any], str, str]] = [
    (GateRule.RUN_ENDED, {"ended": False}, {}, "breaks off", "whole log"),
    (
        GateRule.RIGHT_RUN,
        {"scenario": "Offline"},
        {},
        "Offline PerformanceOnly",
        "Server PerformanceOnly",
    ),
    (
        GateRule.RIGHT_RUN,
        {"test_mode": "AccuracyOnly"},
        {},
        "Server AccuracyOnly",
        "Server PerformanceOnly",
    ),
    (
        GateRule.NO_ERRORS,
        {"num_errors": 3, "errors": ("first: it broke",)},
        {},
        "num_errors 3 (first: it broke)",
        "0",
    ),
    (GateRule.SEEDS, {"seeds": OTHER_SEEDS}, {}, "qsl seed 1", "MLPerf round"),
    (GateRule.TOKEN_LATENCIES, {"use_token_latencies": False}, {}, "off", "on"),
    (GateRule.SAMPLE_COUNT, {}, {"answered": 13367}, "13367 answers", "13368"),
    (
        GateRule.SAMPLE_COUNT,
        {"performance_sample_count": 13367},
        {},
        "13368 samples issued of 13367",
        "13368 of 13368",
    ),
    (GateRule.TOKEN_COUNT, {}, {"fewest_output_tokens": 1}, "1 to 129", "2 to 129"),
    (GateRule.TOKEN_COUNT, {}, {"max_tokens": 128}, "129 to 129", "2 to 128"),
    (
        GateRule.TOKEN_COUNT,
        {},
        {"output_tokens": 128 * 13368},
        "129.00 tokens a sample",
        "128.00",
    ),
    (
        GateRule.LOADGEN_VALID,
        {"valid": False, "early_stopping_met": False},
        {},
        "INVALID (not satisfied: early stopping)",
        "VALID",
    ),
    (GateRule.LOADGEN_VALID, {"valid": None}, {}, "no reason logged", "VALID"),
    (
        GateRule.MIN_DURATION,
        {"min_duration_ms": 599_999},
        {},
        "min_duration 599999 ms",
        "600000 ms",
    ),
    (GateRule.MIN_DURATION, {"min_duration_met": False}, {}, "met: False", "600000 ms, met"),
    (GateRule.TTFT, {"ttft": None}, {}, "none", "above 0"),
    (GateRule.TPOT, {"tpot": None}, {}, "none", "above 0"),
    (
        GateRule.LATENCY_LIMITS,
        {"ttft_limit_ns": 3_000_000_000},
        {},
        "TTFT 3000000000",
        "TTFT 2000000000",
    ),
    (
        GateRule.LATENCY_LIMITS,
        {"tpot_limit_ns": None},
        {},
        "TPOT None",
        "TPOT 100000000",
    ),
]


def _id(value: object) -> str:
    return "-".join(value) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("rule", "logged", "ours", "found", "required"), ALONE, ids=_id)
def test_a_rule_broken_alone_is_reported_alone(
    server: LoadgenResult,
    rule: GateRule,
    logged: dict[str, Any],
    ours: dict[str, Any],
    found: str,
    required: str,
) -> None:
    expected = _expected(server, **ours)
    (finding,) = check_run(server.model_copy(update=logged), expected)
    assert finding.rule is rule
    assert found in finding.found
    assert required in finding.required
    assert str(finding) == f"{rule}: {finding.found}, required {finding.required}"


@pytest.mark.parametrize(("rule", "name"), [(GateRule.TTFT, "ttft"), (GateRule.TPOT, "tpot")])
def test_a_least_latency_of_zero_is_reported(
    server: LoadgenResult, rule: GateRule, name: str
) -> None:
    zero = getattr(server, name).model_copy(update={"minimum": 0})
    (finding,) = check_run(server.model_copy(update={name: zero}), _expected(server))
    assert finding.rule is rule
    assert "0 ns" in finding.found


def test_every_rule_is_broken_alone_in_these_tests() -> None:
    elsewhere = {GateRule.TEST06, GateRule.SAME_CONFIGURATION}
    assert {case[0] for case in ALONE} == set(GateRule) - elsewhere


def _test06(server: LoadgenResult, passed: bool | None) -> tuple[GateFinding, ...]:
    short = server.model_copy(
        update={
            "sample_count": 100,
            "valid": False,
            "min_duration_met": False,
            "samples_per_second": None,
        }
    )
    expected = _expected(
        server, mode=Mode.TEST06, answered=100, output_tokens=12900, test06_passed=passed
    )
    return check_run(short, expected)


def test_a_test06_run_is_judged_by_its_tokens_and_not_by_loadgens_verdict(
    server: LoadgenResult,
) -> None:
    assert _test06(server, passed=True) == ()
    for passed in (False, None):
        (finding,) = _test06(server, passed)
        assert finding.rule is GateRule.TEST06


def test_phases_of_another_configuration_are_named() -> None:
    assert check_configurations({}) == ()
    assert check_configurations({"a": "1" * 64, "b": "1" * 64}) == ()
    (finding,) = check_configurations({"a": "1" * 64, "b": "2" * 64, "c": "1" * 64})
    assert finding.rule is GateRule.SAME_CONFIGURATION
    assert finding.found.startswith("b ran as 222")
    assert finding.required.endswith("as a")


def test_an_official_run_needs_the_whole_dataset(server: LoadgenResult) -> None:
    smaller = server.model_copy(update={"performance_sample_count": 5000})
    (finding,) = check_run(smaller, _expected(smaller, official_length=True))
    assert (finding.rule, finding.required) == (GateRule.SAMPLE_COUNT, str(DATASET_SAMPLES))


def test_a_short_run_need_not_be_long(server: LoadgenResult) -> None:
    short = server.model_copy(update={"min_duration_ms": 0, "min_duration_met": True})
    assert check_run(short, _expected(short, official_length=False)) == ()


def test_an_accuracy_run_needs_each_sample_once_and_no_verdict(server: LoadgenResult) -> None:
    accuracy = server.model_copy(
        update={
            "test_mode": "AccuracyOnly",
            "valid": None,
            "min_duration_met": None,
            "samples_per_second": None,
            "tokens_per_second": None,
            "ttft": None,
            "tpot": None,
        }
    )
    expected = _expected(server, mode=Mode.ACCURACY)
    assert check_run(accuracy, expected) == ()
    twice = accuracy.model_copy(update={"sample_count": 2 * DATASET_SAMPLES})
    found = check_run(twice, expected.model_copy(update={"answered": 2 * DATASET_SAMPLES}))
    assert [finding.rule for finding in found] == [GateRule.SAMPLE_COUNT]


@pytest.mark.parametrize("name", SEEDS_BY_ROUND)
def test_the_seeds_of_every_known_round_pass(server: LoadgenResult, name: str) -> None:
    result = server.model_copy(update={"seeds": SEEDS_BY_ROUND[name]})
    assert check_run(result, _expected(server)) == ()


def test_seeds_mixed_of_two_rounds_do_not_pass(server: LoadgenResult) -> None:
    mixed = SEEDS_BY_ROUND["v5.1"].model_copy(update={"schedule": SEEDS_BY_ROUND["v6.0"].schedule})
    (finding,) = check_run(server.model_copy(update={"seeds": mixed}), _expected(server))
    assert finding.rule is GateRule.SEEDS


def test_findings_go_through_json_unchanged() -> None:
    finding = GateFinding(rule=GateRule.TTFT, found="0", required="above 0")
    assert GateFinding.model_validate_json(finding.model_dump_json()) == finding

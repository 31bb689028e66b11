"""Our own gate over a LoadGen run, stricter than LoadGen's summary and MLPerf's checker.

LoadGen prints VALID for runs with logged errors and a TTFT of 0 ns, and the v6.1 checker
lets runs through that LoadGen marked INVALID; so each rule here is checked by itself. The
agent applies it on the host, the aggregator again to the collected logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from .base import Frozen, Text
from .benchmark import (
    LATENCY_LIMITS,
    OFFICIAL_MIN_DURATION_MS,
    TEST06,
    Mode,
    Scenario,
    Suite,
    dataset_samples,
    round_of_seeds,
)
from .loadgen_log import LoadgenResult


class GateRule(StrEnum):
    """Each rule's stable name."""

    RUN_ENDED = "run-ended"
    RIGHT_RUN = "right-run"
    NO_ERRORS = "no-errors"
    SEEDS = "seeds"
    TOKEN_LATENCIES = "token-latencies"
    SAMPLE_COUNT = "sample-count"
    TOKEN_COUNT = "token-count"
    LOADGEN_VALID = "loadgen-valid"
    MIN_DURATION = "min-duration"
    TTFT = "ttft"
    TPOT = "tpot"
    LATENCY_LIMITS = "latency-limits"
    TEST06 = "test06"
    SAME_CONFIGURATION = "same-configuration"


class GateFinding(Frozen):
    """One broken rule: which, the number found, the number asked for."""

    rule: GateRule
    found: Text
    required: Text

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}, required {self.required}"


class Expectation(Frozen):
    """What the plan and our own records say about a run, to hold LoadGen's logs against."""

    suite: Suite
    scenario: Scenario
    mode: Mode
    official_length: bool
    samples: int
    """Samples of the dataset in use."""
    answered: int
    """Samples that our records say were answered."""
    output_tokens: int
    """Sum over all answers, by our records."""
    fewest_output_tokens: int
    most_output_tokens: int
    max_tokens: int
    test06_passed: bool | None
    """What our check of the logged tokens said; None in another mode."""


class _Require(Protocol):
    def __call__(self, holds: bool, rule: GateRule, found: object, required: object) -> None: ...


def check_run(result: LoadgenResult, expected: Expectation) -> tuple[GateFinding, ...]:
    """The rules that this run broke, in a fixed order; empty if it is valid.

    ``result_validity`` and the minimum duration bind performance runs only: LoadGen gives an
    accuracy run no verdict, and a TEST06 run of 100 queries is INVALID by its nature.
    """
    findings: list[GateFinding] = []

    def require(holds: bool, rule: GateRule, found: object, required: object) -> None:
        if not holds:
            findings.append(GateFinding(rule=rule, found=str(found), required=str(required)))

    performance = expected.mode is Mode.PERFORMANCE
    mode = "AccuracyOnly" if expected.mode is Mode.ACCURACY else "PerformanceOnly"
    require(result.ended, GateRule.RUN_ENDED, "LoadGen's log breaks off", "a whole log")
    require(
        (result.scenario, result.test_mode) == (expected.scenario.loadgen, mode),
        GateRule.RIGHT_RUN,
        f"{result.scenario} {result.test_mode}",
        f"{expected.scenario.loadgen} {mode}",
    )
    require(
        result.num_errors == 0,
        GateRule.NO_ERRORS,
        f"num_errors {result.num_errors}" + (f" ({result.errors[0]})" if result.errors else ""),
        0,
    )
    require(
        round_of_seeds(result.seeds) is not None,
        GateRule.SEEDS,
        f"qsl seed {result.seeds.qsl}",
        "the seeds of an MLPerf round",
    )
    require(result.use_token_latencies, GateRule.TOKEN_LATENCIES, "off", "on")
    _check_counts(result, expected, require)
    if performance:
        require(
            result.valid is True,
            GateRule.LOADGEN_VALID,
            f"INVALID ({_why_invalid(result)})",
            "VALID",
        )
        if expected.official_length:
            require(
                result.min_duration_met is True
                and result.min_duration_ms >= OFFICIAL_MIN_DURATION_MS,
                GateRule.MIN_DURATION,
                f"min_duration {result.min_duration_ms} ms, met: {result.min_duration_met}",
                f"{OFFICIAL_MIN_DURATION_MS} ms, met",
            )
    if expected.mode is Mode.TEST06:
        require(expected.test06_passed is True, GateRule.TEST06, "failed", "passed")
    if expected.scenario.streams and expected.mode is not Mode.ACCURACY:
        _check_token_times(result, require)
    if expected.scenario.paced and performance:
        _check_limits(result, expected.scenario, require)
    return tuple(findings)


def _check_counts(result: LoadgenResult, expected: Expectation, require: _Require) -> None:
    if expected.official_length:
        wanted = dataset_samples(expected.suite)
        require(
            expected.samples == wanted,
            GateRule.SAMPLE_COUNT,
            f"{expected.samples} samples in the dataset",
            wanted,
        )
    match expected.mode:
        case Mode.ACCURACY:
            require(
                result.sample_count == expected.samples,
                GateRule.SAMPLE_COUNT,
                f"{result.sample_count} samples issued",
                f"{expected.samples}, each once",
            )
        case Mode.PERFORMANCE:
            require(
                result.performance_sample_count == expected.samples
                and result.sample_count >= expected.samples,
                GateRule.SAMPLE_COUNT,
                f"{result.sample_count} samples issued of {result.performance_sample_count}",
                f"at least {expected.samples} of {expected.samples}",
            )
        case Mode.TEST06:
            require(
                result.sample_count >= TEST06.min_query_count,
                GateRule.SAMPLE_COUNT,
                f"{result.sample_count} samples issued",
                f"at least {TEST06.min_query_count}",
            )
    require(
        expected.answered == result.sample_count,
        GateRule.SAMPLE_COUNT,
        f"{expected.answered} answers",
        f"{result.sample_count}, as many as LoadGen issued",
    )
    # LoadGen cannot form a time per output token from a single token, and counts it as an error.
    require(
        expected.fewest_output_tokens >= 2 and expected.most_output_tokens <= expected.max_tokens,
        GateRule.TOKEN_COUNT,
        f"{expected.fewest_output_tokens} to {expected.most_output_tokens} tokens an answer",
        f"2 to {expected.max_tokens}",
    )
    if result.samples_per_second and result.tokens_per_second and expected.answered:
        ours = expected.output_tokens / expected.answered
        theirs = result.tokens_per_second / result.samples_per_second
        if expected.scenario.streams and result.sample_count > 1:
            # Completed samples per second counts intervals between samples, tokens all of them.
            theirs *= 1 - 1 / result.sample_count
        require(
            abs(ours - theirs) <= 0.005 * ours,
            GateRule.TOKEN_COUNT,
            f"LoadGen counted {theirs:.2f} tokens a sample",
            f"{ours:.2f}, as our records say",
        )


def _check_token_times(result: LoadgenResult, require: _Require) -> None:
    for rule, times in ((GateRule.TTFT, result.ttft), (GateRule.TPOT, result.tpot)):
        require(
            times is not None and times.minimum > 0,
            rule,
            f"least {rule.upper()} {times.minimum if times else 'none'} ns",
            "above 0",
        )


def _check_limits(result: LoadgenResult, scenario: Scenario, require: _Require) -> None:
    limits = LATENCY_LIMITS[scenario]
    require(
        (result.ttft_limit_ns, result.tpot_limit_ns) == (limits.ttft_ns, limits.tpot_ns),
        GateRule.LATENCY_LIMITS,
        f"TTFT {result.ttft_limit_ns}, TPOT {result.tpot_limit_ns} ns",
        f"TTFT {limits.ttft_ns}, TPOT {limits.tpot_ns} ns",
    )


def check_configurations(configurations: Mapping[str, str]) -> tuple[GateFinding, ...]:
    """Findings where phases (name to hash of what ran) differ: MLPerf's rules ask for the same
    system and code in performance and accuracy.
    """
    first = next(iter(configurations), "")
    return tuple(
        GateFinding(
            rule=GateRule.SAME_CONFIGURATION,
            found=f"{name} ran as {value[:12]}",
            required=f"{configurations[first][:12]}, as {first}",
        )
        for name, value in configurations.items()
        if value != configurations[first]
    )


def _why_invalid(result: LoadgenResult) -> str:
    reasons = {
        "min duration": result.min_duration_met,
        "min queries": result.min_queries_met,
        "early stopping": result.early_stopping_met,
        "latency limits": result.performance_constraints_met,
    }
    failed = [name for name, met in reasons.items() if met is False]
    return "not satisfied: " + ", ".join(failed) if failed else "no reason logged"

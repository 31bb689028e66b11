"""Our own gate over a LoadGen run, stricter than LoadGen's summary and MLPerf's checker.

LoadGen prints VALID for runs with logged errors and a TTFT of 0 ns, and the v6.1 checker
lets runs through that LoadGen marked INVALID; so each rule here is checked by itself. The
agent applies it on the host, the aggregator again to the collected logs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from .base import Frozen
from .benchmark import (
    DATASET_SAMPLES,
    OFFICIAL_MIN_DURATION_MS,
    SERVER_LIMITS,
    Mode,
    Scenario,
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


class GateFinding(Frozen):
    """One broken rule: which, the number found, the number asked for."""

    rule: GateRule
    found: str
    required: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.found}, required {self.required}"


class Expectation(Frozen):
    """What the plan and our own records say about a run, to hold LoadGen's logs against."""

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


class _Require(Protocol):
    def __call__(self, holds: bool, rule: GateRule, found: object, required: object) -> None: ...


def check_run(result: LoadgenResult, expected: Expectation) -> tuple[GateFinding, ...]:
    """The rules that this run broke, in a fixed order; empty if it is valid.

    ``result_validity`` and the minimum duration bind performance runs only: LoadGen gives an
    accuracy run no verdict.
    """
    findings: list[GateFinding] = []

    def require(holds: bool, rule: GateRule, found: object, required: object) -> None:
        if not holds:
            findings.append(GateFinding(rule=rule, found=str(found), required=str(required)))

    performance = expected.mode is Mode.PERFORMANCE
    mode = "PerformanceOnly" if performance else "AccuracyOnly"
    require(result.ended, GateRule.RUN_ENDED, "LoadGen's log breaks off", "a whole log")
    require(
        (result.scenario, result.test_mode) == (expected.scenario.value, mode),
        GateRule.RIGHT_RUN,
        f"{result.scenario} {result.test_mode}",
        f"{expected.scenario.value} {mode}",
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
        if expected.scenario is Scenario.SERVER:
            _check_latencies(result, require)
    return tuple(findings)


def _check_counts(result: LoadgenResult, expected: Expectation, require: _Require) -> None:
    if expected.official_length:
        require(
            expected.samples == DATASET_SAMPLES,
            GateRule.SAMPLE_COUNT,
            f"{expected.samples} samples in the dataset",
            DATASET_SAMPLES,
        )
    if expected.mode is Mode.ACCURACY:
        require(
            result.sample_count == expected.samples,
            GateRule.SAMPLE_COUNT,
            f"{result.sample_count} samples issued",
            f"{expected.samples}, each once",
        )
    else:
        require(
            result.performance_sample_count == expected.samples
            and result.sample_count >= expected.samples,
            GateRule.SAMPLE_COUNT,
            f"{result.sample_count} samples issued of {result.performance_sample_count}",
            f"at least {expected.samples} of {expected.samples}",
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
        if expected.scenario is Scenario.SERVER and result.sample_count > 1:
            # Completed samples per second counts intervals between samples, tokens all of them.
            theirs *= 1 - 1 / result.sample_count
        require(
            abs(ours - theirs) <= 0.005 * ours,
            GateRule.TOKEN_COUNT,
            f"LoadGen counted {theirs:.2f} tokens a sample",
            f"{ours:.2f}, as our records say",
        )


def _check_latencies(result: LoadgenResult, require: _Require) -> None:
    ttft, tpot = result.ttft, result.tpot
    require(
        ttft is not None and ttft.minimum > 0,
        GateRule.TTFT,
        f"least TTFT {ttft.minimum if ttft else 'none'} ns",
        "above 0",
    )
    require(
        tpot is not None and tpot.minimum > 0,
        GateRule.TPOT,
        f"least TPOT {tpot.minimum if tpot else 'none'} ns",
        "above 0",
    )
    require(
        (result.ttft_limit_ns, result.tpot_limit_ns)
        == (SERVER_LIMITS.ttft_ns, SERVER_LIMITS.tpot_ns),
        GateRule.LATENCY_LIMITS,
        f"TTFT {result.ttft_limit_ns}, TPOT {result.tpot_limit_ns} ns",
        f"TTFT {SERVER_LIMITS.ttft_ns}, TPOT {SERVER_LIMITS.tpot_ns} ns",
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

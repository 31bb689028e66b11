"""How long a plan takes and how much room, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from .advice import Advice, advise
from .base import Frozen
from .benchmark import LATENCY_LIMITS, Mode, Scenario
from .duration import duration_text
from .evaluation import EvaluationPlan
from .plan import RunPlan, phase_name, rate_name
from .query_count import OFFLINE_SLACK, fixed_samples, performance_samples, plan_rules
from .rate_search import FIRST_SHARE, OFFLINE_ALLOWANCE, offline_burst

LEAST_PROBES = 2
"""One that holds and one that does not."""

EXAMPLE_QPS = 5.0
EXAMPLE_S = 3.0
"""To say something of a rate or a latency that is not known: those of one small GPU."""

# Measured with LoadGen 6.0.17 and answers of 128 tokens, rounded up.
LOGS_BYTES = 115_000
"""Detail log and summary of one LoadGen run; published logs have 50 to 110 KB."""
SAMPLE_BYTES = 70
"""One row of samples.parquet; its hash alone has 32."""
ANSWER_BYTES = 300
"""One row of answers.parquet with its question."""
ACCURACY_ENTRY_BYTES = 101
ACCURACY_TOKEN_BYTES = 8
"""One token in mlperf_log_accuracy.json, 32 bits in hex: 15.0 MB for 13,368 answers."""
TELEMETRY_BYTES_PER_S = 440
"""A line of telemetry.jsonl with one GPU."""


class StepEstimate(Frozen):
    """One LoadGen run, or one search for a rate."""

    name: str = Field(description="of the phase, e.g. offline-performance or server-rate")
    samples: int = Field(ge=1, description="that LoadGen issues; of a search in all its runs")
    samples_is_least: bool = Field(description="more where the rate asks for it")
    seconds: float | None = Field(description="None: the rate is not known yet")
    least_seconds: float = Field(ge=0, description="known also without the rate")
    disk_bytes: int = Field(ge=0)
    why: str


class RunEstimate(Frozen):
    """What a plan means in time and room on one host."""

    steps: tuple[StepEstimate, ...] = Field(description="in the plan's order")
    total_seconds: float = Field(
        ge=0, description="of the LoadGen runs; loading the model and scoring come on top"
    )
    total_is_least: bool = Field(description="some rate is not known, so it takes longer")
    disk_bytes: int = Field(ge=0, description="of the run's folder; model and dataset aside")
    advice: tuple[Advice, ...]


def estimate_run(plan: RunPlan, offline_samples_per_second: float | None = None) -> RunEstimate:
    """The LoadGen runs of a plan with their lengths.

    ``offline_samples_per_second``: what the host does, e.g. of an earlier result; else
    the plan's Offline rate is taken for it, which the plan itself calls the expected one.
    """
    steps = (*_steps(plan, offline_samples_per_second), *map(_evaluation, plan.evaluations))
    total = sum(step.least_seconds if step.seconds is None else step.seconds for step in steps)
    return RunEstimate(
        steps=steps,
        total_seconds=total,
        total_is_least=any(step.seconds is None for step in steps),
        disk_bytes=sum(step.disk_bytes for step in steps) + round(TELEMETRY_BYTES_PER_S * total),
        advice=advise(plan, offline_samples_per_second),
    )


def _steps(plan: RunPlan, given: float | None) -> Iterator[StepEstimate]:
    offline_qps = next(
        (item.target_qps for item in plan.scenarios if item.scenario is Scenario.OFFLINE), None
    )
    rate = given or offline_qps
    measured = False
    for item in plan.scenarios:
        target = item.target_qps
        if item.scenario in plan.searched:
            if item.scenario is Scenario.OFFLINE:
                yield _burst(plan, rate)
                target = None if rate is None else OFFLINE_ALLOWANCE * rate
            else:
                target = None if rate is None else FIRST_SHARE * rate
                yield _search(plan, item.scenario, target, with_burst=not measured)
                target = None if target is None else (1 - plan.rate_search.margin) * target
            measured = True
        for mode in item.modes:
            step = _run(plan, item.scenario, mode, target, rate)
            yield step
            measured = measured or step.name == phase_name(Scenario.OFFLINE, Mode.PERFORMANCE)


# Evaluations.


def _evaluation(evaluation: EvaluationPlan) -> StepEstimate:
    known = evaluation.known_questions
    questions = 1 if known is None else known
    shots = "" if evaluation.shots is None else f", {evaluation.shots}-shot"
    shard = evaluation.shard
    share = "" if shard.of == 1 else f", one of {shard.of} shards"
    return StepEstimate(
        name=evaluation.name,
        samples=max(1, questions // shard.of),
        samples_is_least=known is None,
        seconds=None,
        least_seconds=0,
        disk_bytes=ANSWER_BYTES * max(1, questions // shard.of),
        why=f"accuracy by lm_eval over the same engine{shots}{share}",
    )


# Searches.


def _burst_samples(plan: RunPlan) -> int:
    return offline_burst(plan.engine.max_num_seqs, plan.samples)


def _burst(plan: RunPlan, rate: float | None) -> StepEstimate:
    samples = _burst_samples(plan)
    return StepEstimate(
        name=rate_name(Scenario.OFFLINE),
        samples=samples,
        samples_is_least=False,
        seconds=None if rate is None else samples / rate,
        least_seconds=0,
        disk_bytes=LOGS_BYTES,
        why="one burst that measures samples per second, as offline_target_qps is not set",
    )


def _search(
    plan: RunPlan, scenario: Scenario, first_qps: float | None, *, with_burst: bool
) -> StepEstimate:
    limits = plan.rate_search
    burst = _burst_samples(plan) if with_burst else 0
    most = f"at most {limits.probes} short runs of {limits.queries} queries"
    if limits.duration_s:
        most += f" and {duration_text(limits.duration_s)} at least"
    if with_burst:
        most += f", after a burst of {burst} samples"
    if first_qps is None:
        samples, seconds = LEAST_PROBES * limits.queries, None
    else:
        queries = max(limits.queries, math.ceil(limits.duration_s * first_qps))
        samples = limits.probes * queries
        seconds = (samples + FIRST_SHARE * burst) / first_qps
    return StepEstimate(
        name=rate_name(scenario),
        samples=samples + burst,
        samples_is_least=first_qps is None,
        seconds=seconds,
        least_seconds=LEAST_PROBES * limits.duration_s,
        disk_bytes=(limits.probes + with_burst) * LOGS_BYTES,
        why=f"{most}, as {scenario.value.lower()}_target_qps is not set",
    )


# LoadGen runs.


def _run(
    plan: RunPlan, scenario: Scenario, mode: Mode, target_qps: float | None, rate: float | None
) -> StepEstimate:
    """``target_qps`` as set or as it will be found, None if not known; ``rate``: Offline's."""
    speed = target_qps if scenario.paced else rate if scenario is Scenario.OFFLINE else None
    is_least, least_s, logged = False, 0.0, 0
    if mode is Mode.PERFORMANCE:
        samples = performance_samples(plan_rules(plan, scenario, target_qps), scenario)
        least_s = plan.min_duration_ms / 1000
        is_least = scenario is Scenario.SINGLE_STREAM or (target_qps is None and least_s > 0)
        passes = samples // plan.samples
        what = f"{passes:,} pass{'es' if passes > 1 else ''} of {plan.samples:,}"
        reason = _why_so_many(scenario, least_s, target_qps)
    else:
        samples = logged = fixed_samples(mode, plan.samples)
        what = "the compliance test" if mode is Mode.TEST06 else "each sample of the dataset once"
        reason = ""
    if speed is not None:
        at = f" at {speed:.3g}/s"
    elif scenario is Scenario.SINGLE_STREAM:
        at = f", e.g. {duration_text(samples * EXAMPLE_S)} at {EXAMPLE_S:g} s a sample"
    else:
        at = f", e.g. {duration_text(samples / EXAMPLE_QPS)} at {EXAMPLE_QPS:g}/s"
    entry_bytes = ACCURACY_ENTRY_BYTES + ACCURACY_TOKEN_BYTES * plan.generation.max_tokens
    return StepEstimate(
        name=phase_name(scenario, mode),
        samples=samples,
        samples_is_least=is_least,
        seconds=None if speed is None else samples / speed,
        least_seconds=least_s,
        disk_bytes=LOGS_BYTES + SAMPLE_BYTES * samples + entry_bytes * logged,
        why=what + at + reason,
    )


def _why_so_many(scenario: Scenario, least_s: float, target_qps: float | None) -> str:
    least = duration_text(least_s)
    if scenario is Scenario.SINGLE_STREAM:
        return f" (one after the other, {least} at least)" if least_s else ""
    if scenario is Scenario.OFFLINE:
        if target_qps is None or not least_s:
            return ""
        wanted = OFFLINE_SLACK * least_s * target_qps
        product = f"{OFFLINE_SLACK:g} x {least} x {target_qps:.3g}/s"
        return f" ({product} is {wanted:,.0f}, padded to whole passes)"
    until = f" until {least} are over" if least_s else ""
    ttft_ms = LATENCY_LIMITS[scenario].ttft_ns / 1e6
    return f" (equal issue: whole passes{until}), TTFT within {ttft_ms:,.0f} ms"

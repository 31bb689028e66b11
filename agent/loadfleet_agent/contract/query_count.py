"""How many samples a LoadGen run issues: LoadGen's own arithmetic, for progress and estimates.

Source: ``loadgen/test_settings_internal.cc`` and ``GenerateQueries`` of ``loadgen/loadgen.cc`` in
mlcommons/inference at b66003e1 (2026-08-20).
"""

from __future__ import annotations

import functools
import math
import random

from .base import Frozen
from .benchmark import SEEDS_BY_ROUND, TEST06, Mode, Scenario
from .plan import RunPlan

OFFLINE_SLACK = 1.1
"""LoadGen sends that much more than fills the least duration at the target rate."""
SINGLE_STREAM_SLACK = 2.0
LOADGEN_ROUND = "v6.1"
"""The round whose seeds LoadGen 6.0.17 has built in."""
LONGEST_SCHEDULE = 1_000_000
"""Queries; drawing the arrival times of more takes seconds, and their mean is within 0.3 %."""


class QueryRules(Frozen):
    """The settings of LoadGen that decide how much a performance run issues."""

    dataset_samples: int
    min_query_count: int
    min_duration_s: float
    target_qps: float
    """SingleStream: of an answer's expected latency."""
    whole_passes: bool
    """Equal issue: each sample as often as every other (``sample_concatenate_permutation``)."""
    schedule_seed: int

    def padded(self, samples: int) -> int:
        """In whole passes over the dataset where LoadGen pads to them."""
        passes = math.ceil(samples / self.dataset_samples)
        return passes * self.dataset_samples if self.whole_passes else samples


def plan_rules(plan: RunPlan, scenario: Scenario, target_qps: float | None) -> QueryRules:
    """The rules of a scenario of a plan: what user.conf sets, and mlperf.conf where it does not.

    ``target_qps`` None: not known, and without a least duration, so that the fewest samples that
    any rate issues come out.
    """
    latency_ms = plan.scenario(scenario).target_latency_ms
    if latency_ms is not None:
        target_qps = 1000 / latency_ms
    return QueryRules(
        dataset_samples=plan.samples,
        min_query_count=least_queries(plan, scenario),
        min_duration_s=0.0 if target_qps is None else plan.min_duration_ms / 1000,
        target_qps=target_qps or 1.0,
        whole_passes=True,
        schedule_seed=SEEDS_BY_ROUND[LOADGEN_ROUND].schedule,
    )


def least_queries(plan: RunPlan, scenario: Scenario) -> int:
    """The least count of a performance run: mlperf.conf's, or of a short run user.conf's."""
    if plan.length.kind == "official":
        return plan.samples if scenario is Scenario.OFFLINE else 100
    if scenario is Scenario.SINGLE_STREAM:
        return 1  # padded to one pass; from one pass on it would be two
    return plan.length.server_queries if scenario.paced else plan.samples


def performance_samples(rules: QueryRules, scenario: Scenario) -> int:
    """Samples of a performance run; of SingleStream the fewest, as it goes on until the least
    duration is over."""
    if scenario is Scenario.OFFLINE:
        wanted = int(OFFLINE_SLACK * rules.min_duration_s * rules.target_qps)
        return rules.padded(max(rules.min_query_count, wanted))
    if scenario.paced:
        arrived = _queries_until(rules.min_duration_s, rules.target_qps, rules.schedule_seed)
        return rules.padded(max(rules.min_query_count, arrived))
    if not rules.whole_passes:
        return rules.min_query_count
    wanted = int(SINGLE_STREAM_SLACK * rules.min_duration_s * rules.target_qps)
    # LoadGen pads by a whole pass also where nothing is left to pad.
    passes = max(rules.min_query_count, wanted) // rules.dataset_samples + 1
    return passes * rules.dataset_samples


def fixed_samples(mode: Mode, dataset_samples: int) -> int:
    """Samples of an accuracy or a TEST06 run."""
    return TEST06.min_query_count if mode is Mode.TEST06 else dataset_samples


@functools.lru_cache(maxsize=256)
def _queries_until(seconds: float, qps: float, seed: int) -> int:
    """How many queries of Server's schedule it takes until one is due ``seconds`` after the first.

    LoadGen draws the times between them (``std::exponential_distribution`` over
    ``std::mt19937``, in whole nanoseconds), with a seed that a round fixes; with v6.1's one pass
    of 13,368 fills 600 s up to 22.07 queries/s, not up to the 22.28 of the mean.
    """
    if seconds * qps > LONGEST_SCHEDULE:
        return math.ceil(seconds * qps)
    draw = _mt19937(seed).getrandbits
    end_ns, due_ns, count = seconds * 1e9, 0, 1
    while due_ns < end_ns:
        low, high = draw(32), draw(32)
        share = min((low + high * 2.0**32) / 2.0**64, math.nextafter(1.0, 0.0))
        due_ns += int(-math.log(1.0 - share) / qps * 1e9)
        count += 1
    return count


def _mt19937(seed: int) -> random.Random:
    """The generator as C++ seeds it; Python's own seeding gives other numbers."""
    state = [seed & 0xFFFFFFFF]
    for index in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + index) & 0xFFFFFFFF)
    generator = random.Random()
    generator.setstate((3, (*state, 624), None))
    return generator

"""What in a plan keeps its result from MLPerf or from the closed division, or wastes hours.

Sources: ``inference_policies`` at ac93e89c, LoadGen and the submission checker of
mlcommons/inference at b66003e1. Of the system itself, where ECC must be on, a plan knows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum

from .base import Frozen
from .benchmark import (
    EARLY_STOPPING_MIN_QUERIES,
    LONGEST_INPUT_TOKENS,
    MAX_OUTPUT_TOKENS,
    MIN_OUTPUT_TOKENS,
    Mode,
    Scenario,
    Suite,
)
from .dataset import DatasetLabel, not_mlperf
from .duration import duration_text
from .plan import RunPlan
from .query_count import OFFLINE_SLACK, performance_samples, plan_rules

MODEL = "llama-3.1-8b-instruct"
REFERENCE_MODELS = (f"meta-llama/{MODEL}", f"meta-llama/meta-{MODEL}")
DATASETS: dict[DatasetLabel, str] = {
    "mlperf-dataset": "MLPerf's file",
    "rebuilt": "samples rebuilt from CNN/DailyMail",
    "synthetic": "made-up articles",
}
LONG_PASS_S = 7200.0
"""A pass over the dataset that lasts longer is worth a second thought."""


class AdviceKind(StrEnum):
    NOT_MLPERF = "not-mlperf"
    """No division takes the result."""
    OPEN_ONLY = "open-only"
    """The closed division does not take it."""
    UNWISE = "unwise"
    """The run takes long for nothing, or will not be valid."""


class Advice(Frozen):
    """One finding: which setting (as in the settings), and why."""

    kind: AdviceKind
    setting: str
    text: str


def advise(plan: RunPlan, offline_samples_per_second: float | None = None) -> tuple[Advice, ...]:
    """The findings, those that weigh most first.

    ``offline_samples_per_second``: what the host does, where known; else the plan's own rate.
    """
    never = tuple(_not_mlperf(plan))
    found = (
        *never,
        *_stand_ins(plan),
        *_not_closed(plan),
        # Of a trial nobody asks whether it is complete.
        *(() if never else _incomplete(plan)),
        *_lengths(plan, offline_samples_per_second),
        *_rates(plan, offline_samples_per_second),
    )
    return tuple(sorted(found, key=lambda item: list(AdviceKind).index(item.kind)))


def _never(setting: str, text: str) -> Advice:
    return Advice(kind=AdviceKind.NOT_MLPERF, setting=setting, text=text)


def _open_only(setting: str, text: str) -> Advice:
    return Advice(kind=AdviceKind.OPEN_ONLY, setting=setting, text=text)


def _unwise(setting: str, text: str) -> Advice:
    return Advice(kind=AdviceKind.UNWISE, setting=setting, text=text)


def _not_mlperf(plan: RunPlan) -> Iterator[Advice]:
    if plan.length.kind == "short":
        yield _never("length", "a short run; MLPerf asks for the whole dataset and 10 min")
    if not_mlperf(plan.dataset[0].label):
        yield _never("dataset", f"{DATASETS[plan.dataset[0].label]} instead of MLPerf's file")
    if plan.model.source == "tiny":
        yield _never("model.source", "a tiny model of random weights")
    elif plan.engine.load_format == "dummy":
        yield _never("engine.load_format", "random weights: a speed without an accuracy")
    if plan.engine.kind == "null":
        yield _never("engine.kind", "made-up tokens: it measures the harness alone")


def _stand_ins(plan: RunPlan) -> Iterator[Advice]:
    """Datasets that are used where MLPerf's is not there."""
    first, *others = plan.dataset
    for source in others:
        if not_mlperf(source.label) and not not_mlperf(first.label):
            text = f"{DATASETS[source.label]} where MLPerf's file is not there"
            yield _never("dataset", text)


def _not_closed(plan: RunPlan) -> Iterator[Advice]:
    generation, engine = plan.generation, plan.engine
    if generation.max_tokens != MAX_OUTPUT_TOKENS:
        text = f"{generation.max_tokens}; closed asks for {MAX_OUTPUT_TOKENS}"
        yield _open_only("generation.max_tokens", text)
    if generation.min_tokens != MIN_OUTPUT_TOKENS:
        text = f"{generation.min_tokens}; closed asks for {MIN_OUTPUT_TOKENS}"
        yield _open_only("generation.min_tokens", text)
    if engine.enable_prefix_caching:
        text = "closed forbids to use KV blocks again across queries"
        yield _open_only("engine.enable_prefix_caching", text)
    documented = "closed takes it only with its calibration documented, without retraining"
    if plan.model.source == "hub" and plan.model.repo.lower() not in REFERENCE_MODELS:
        if MODEL in plan.model.repo.lower():
            yield _open_only("model.repo", f"weights derived from the reference's: {documented}")
        else:
            yield _open_only("model.repo", "closed asks for Llama-3.1-8B-Instruct")
    if engine.quantization is not None:
        yield _open_only("engine.quantization", f"{engine.quantization}: {documented}")
    if engine.kv_cache_dtype not in ("auto", engine.dtype):
        yield _open_only("engine.kv_cache_dtype", f"{engine.kv_cache_dtype}: {documented}")


def _incomplete(plan: RunPlan) -> Iterator[Advice]:
    """What a submission lacks."""
    if not plan.scenarios:
        text = "MLPerf's runs are left out"
        yield Advice(kind=AdviceKind.NOT_MLPERF, setting="benchmarks", text=text)
        return
    named = [item.scenario for item in plan.scenarios]
    for mode, kind, who in (
        (Mode.PERFORMANCE, AdviceKind.NOT_MLPERF, "every submission"),
        (Mode.ACCURACY, AdviceKind.NOT_MLPERF, "every submission"),
        (Mode.TEST06, AdviceKind.OPEN_ONLY, "closed"),
    ):
        without = [item.scenario for item in plan.scenarios if mode not in item.modes]
        if without and not (mode is Mode.TEST06 and plan.suite is Suite.EDGE):
            text = f"no {mode} of {', '.join(without)}, which {who} asks for"
            yield Advice(kind=kind, setting="modes", text=text)
    if plan.suite is Suite.EDGE:  # which has these two alone
        whole = len(named) == 2
        wanted = "SingleStream and Offline"
    else:
        whole = Scenario.OFFLINE in named and any(item.paced for item in named)
        wanted = "Offline with Server or Interactive"
    if not whole:
        text = f"{', '.join(named)} alone; closed {plan.suite} asks for {wanted}"
        yield Advice(kind=AdviceKind.OPEN_ONLY, setting="scenarios", text=text)


def _lengths(plan: RunPlan, offline_samples_per_second: float | None) -> Iterator[Advice]:
    """Runs that are longer than they need be, or too short to be valid."""
    room = plan.engine.max_model_len - plan.generation.max_tokens
    official = plan.length.kind == "official" and plan.dataset[0].label != "synthetic"
    if official and room < LONGEST_INPUT_TOKENS:
        text = (
            f"leaves {room:,} tokens for a prompt, and MLPerf's longest has "
            f"{LONGEST_INPUT_TOKENS:,}: preparing the dataset will fail"
        )
        yield _unwise("engine.max_model_len", text)
    for item in plan.scenarios:
        if Mode.PERFORMANCE not in item.modes:
            continue
        rules = plan_rules(plan, item.scenario, item.target_qps)
        if item.scenario.paced and (item.target_qps or not plan.min_duration_ms):
            queries = performance_samples(rules, item.scenario)
            if queries < EARLY_STOPPING_MIN_QUERIES:
                text = (
                    f"{queries} {item.scenario} queries: under {EARLY_STOPPING_MIN_QUERIES} "
                    "LoadGen cannot confirm a 99th percentile and finds the run INVALID"
                )
                yield _unwise("length.server_queries", text)
        if item.scenario is Scenario.OFFLINE and item.target_qps and plan.min_duration_ms:
            rate = offline_samples_per_second or item.target_qps
            yield from _offline_passes(plan, item.target_qps, rate)


def _offline_passes(plan: RunPlan, target_qps: float, rate: float) -> Iterator[Advice]:
    """LoadGen issues whole passes, whether the least duration needs them or not."""
    issued = performance_samples(plan_rules(plan, Scenario.OFFLINE, target_qps), Scenario.OFFLINE)
    least_s = plan.min_duration_ms / 1000
    needed = max(1, math.ceil(least_s * rate / plan.samples)) * plan.samples
    if issued > needed:
        limit = math.floor(100 * (needed + 1) / (OFFLINE_SLACK * least_s) - 1e-9) / 100
        yield _unwise(
            "offline_target_qps",
            f"above {limit:.2f}/s LoadGen issues {issued:,} samples, "
            f"{duration_text(issued / rate)} at {rate:g}/s; {needed:,} last "
            f"{duration_text(needed / rate)}, which is enough",
        )
    elif issued < needed:
        least_qps = math.ceil(100 * (needed - plan.samples + 1) / (OFFLINE_SLACK * least_s)) / 100
        yield _unwise(
            "offline_target_qps",
            f"{issued:,} samples are done in {duration_text(issued / rate)} at {rate:g}/s, and "
            f"LoadGen finds a run under {duration_text(least_s)} INVALID: set {least_qps:.2f} at "
            "least",
        )


def _rates(plan: RunPlan, offline_samples_per_second: float | None) -> Iterator[Advice]:
    """Rates that cannot hold, or that make a pass last for hours."""
    rates = {item.scenario: item.target_qps for item in plan.scenarios}
    offline = offline_samples_per_second or rates.get(Scenario.OFFLINE)
    server, interactive = rates.get(Scenario.SERVER), rates.get(Scenario.INTERACTIVE)
    for scenario, qps in rates.items():
        if qps is None or not scenario.paced:
            continue
        setting = f"{scenario.value.lower()}_target_qps"
        whole = [m for m in plan.scenario(scenario).modes if m is not Mode.TEST06]
        if whole and plan.samples / qps > LONG_PASS_S:
            sensible = math.ceil(100 * plan.samples / LONG_PASS_S) / 100
            text = (
                f"a pass of {plan.samples:,} queries at {qps:g}/s takes "
                f"{duration_text(plan.samples / qps)}, in each of {' and '.join(whole)}; "
                f"from {sensible:g}/s on {duration_text(LONG_PASS_S)} at most"
            )
            yield _unwise(setting, text)
        if offline is not None and qps > offline:
            text = (
                f"{qps:g}/s, but {offline:g}/s Offline: queries would queue ever longer "
                "(published results hold 0.74 to 1.0 of Offline)"
            )
            yield _unwise(setting, text)
    if server is not None and interactive is not None and interactive >= server:
        text = (
            f"{interactive:g}/s is not below Server's {server:g}/s, but a TTFT of 500 ms instead "
            "of 2,000 and a TPOT of 30 ms instead of 100 must be held"
        )
        yield _unwise("interactive_target_qps", text)

"""The plan: its hash, its labels, its round trip."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.plan import (
    InactivityLimits,
    RunPlan,
    Runtime,
    differing_keys,
    phase_name,
)
from loadfleet_agent.contract.profile import Build, EngineSettings, Generation
from loadfleet_agent.contract.rate_search import RateSearch
from loadfleet_agent.contract.settings import HostSettings, parse_settings, resolve_plan
from pydantic import ValidationError

BASE: dict[str, Any] = {
    "profile": "a30-bf16",
    "model": {"source": "path", "path": "/models/llama"},
    "dataset": {"source": "file", "path": "/data/cnn_eval.json"},
}

OTHER_ENGINE: dict[str, Any] = {
    "kind": "null",
    "dtype": "float16",
    "quantization": "fp8",
    "kv_cache_dtype": "fp8",
    "max_model_len": 4096,
    "max_num_seqs": 64,
    "max_num_batched_tokens": 4096,
    "gpu_memory_utilization": 0.5,
    "cpu_kv_cache_gib": 7,
    "tensor_parallel_size": 2,
    "replicas": 2,
    "enforce_eager": True,
    "enable_prefix_caching": True,
    "attention_backend": "FLASHINFER",
    "performance_mode": "throughput",
    "stream_interval": 4,
    "load_format": "dummy",
    "seed": 9,
}
OTHER_GENERATION: dict[str, Any] = {"max_tokens": 64, "min_tokens": 2}
OTHER_INACTIVITY: dict[str, Any] = {
    "prepare_s": 11,
    "load_s": 12,
    "generate_s": 13,
    "score_s": 14,
    "barrier_s": 15,
}
OTHER_RATE_SEARCH: dict[str, Any] = {
    "queries": 700,
    "duration_s": 30,
    "probes": 5,
    "precision": 0.1,
    "margin": 0.1,
}
OTHER_MMLU: dict[str, Any] = {
    "mmlu_tasks": ["mmlu"],
    "mmlu_split": "validation",
    "mmlu_shots": 3,
    "mmlu_data": {"source": "synthetic"},
    "mmlu_shard": {"index": 0, "of": 2},
    "mmlu_samples": 4,
}
OTHER_SETTINGS: list[dict[str, Any]] = [
    {"suite": "edge"},
    {"suite": "edge", "single_stream_target_latency_ms": 200},
    {"profile": "cpu-smoke"},
    {"runtime": "container"},
    {"environment": {"VLLM_LOGGING_LEVEL": "DEBUG"}},
    {"model": {"source": "path", "path": "/models/other"}},
    {"model": {"source": "hub", "repo": "meta-llama/Llama-3.1-8B-Instruct", "revision": "main"}},
    {"model": {"source": "tiny"}},
    {"model": {"source": "tiny", "seed": 1}},
    {"dataset": {"source": "file", "path": "/data/other.json"}},
    {"dataset": {"source": "file", "path": "/data/cnn_eval.json", "sha256": "0" * 64}},
    {"dataset": {"source": "synthetic"}},
    {"dataset": {"source": "synthetic", "seed": 1}},
    {"length": {"samples": 64}},
    {"length": {"samples": 65}},
    {"length": {"samples": 64, "server_queries": 501}},
    {"length": {"samples": 64, "min_duration_ms": 1}},
    {"scenarios": ["Offline"]},
    {"scenarios": ["Server", "Offline"]},
    {"scenarios": ["Offline", "Server", "Interactive"]},
    {"modes": ["performance"]},
    {"modes": ["accuracy", "performance"]},
    {"offline_target_qps": 11},
    {"server_target_qps": 5},
    {"scenarios": ["Interactive"], "interactive_target_qps": 5},
    {"benchmarks": ["mlperf", "mmlu"]},
    {"benchmarks": ["mmlu"]},
    {"evaluations": ["gsm8k"]},
    {"evaluations": [{"task": "gsm8k", "shots": 3}]},
    *({"benchmarks": ["mmlu"]} | {key: value} for key, value in OTHER_MMLU.items()),
    *({"rate_search": {key: value}} for key, value in OTHER_RATE_SEARCH.items()),
    *({"engine": {key: value}} for key, value in OTHER_ENGINE.items()),
    *({"generation": {key: value}} for key, value in OTHER_GENERATION.items()),
    *({"inactivity": {key: value}} for key, value in OTHER_INACTIVITY.items()),
]

WHEN_IT_STARTS = {"sync_start": True}
"""Decides nothing of a result."""


def _plan(run_id: str = "run", host: str = "host", **changes: Any) -> RunPlan:
    return resolve_plan(parse_settings(BASE | changes), run_id=run_id, host=host)


def test_two_hosts_of_the_same_settings_have_one_hash() -> None:
    assert _plan(run_id="a", host="gpu1").plan_hash == _plan(run_id="b", host="gpu2").plan_hash


@pytest.mark.parametrize("change", OTHER_SETTINGS, ids=str)
def test_any_setting_changes_the_hash(change: dict[str, Any]) -> None:
    assert _plan(**change).plan_hash != _plan().plan_hash


def test_all_changed_plans_have_hashes_of_their_own() -> None:
    hashes = [_plan(**change).plan_hash for change in OTHER_SETTINGS]
    assert len(set(hashes)) == len(hashes)


def test_no_setting_is_left_out_of_these_tests() -> None:
    changed = {key for change in OTHER_SETTINGS for key in change}
    assert changed | set(WHEN_IT_STARTS) == set(HostSettings.model_fields)
    assert set(OTHER_ENGINE) == set(EngineSettings.model_fields)
    assert set(OTHER_GENERATION) == set(Generation.model_fields)
    assert set(OTHER_RATE_SEARCH) == set(RateSearch.model_fields)
    assert set(OTHER_INACTIVITY) == set(InactivityLimits.model_fields)


def test_when_it_starts_is_in_the_plan_and_not_in_the_hash() -> None:
    waiting = _plan(**WHEN_IT_STARTS)
    assert waiting.plan_hash == _plan().plan_hash
    assert differing_keys(waiting, _plan()) == ["sync_start"]
    assert waiting.barriers == ("offline-performance", "server-performance")
    assert _plan().barriers == ()
    assert _plan(**(WHEN_IT_STARTS | {"modes": ["accuracy"]})).barriers == ()


@pytest.mark.parametrize("change", [{}, WHEN_IT_STARTS, *OTHER_SETTINGS], ids=str)
def test_goes_through_json_unchanged(change: dict[str, Any]) -> None:
    plan = _plan(**change)
    again = RunPlan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.plan_hash == plan.plan_hash


@pytest.mark.parametrize(
    ("profile", "build"),
    [("a30-bf16", Build.CUDA), ("cpu-smoke", Build.CPU), ("null-engine", Build.CPU)],
)
def test_the_build_is_the_profiles_and_the_runtime_is_set(profile: str, build: Build) -> None:
    plan = _plan(profile=profile)
    assert (plan.build, plan.runtime) == (build, Runtime.VENV)
    plan = _plan(profile=profile, runtime="container")
    assert (plan.build, plan.runtime) == (build, Runtime.CONTAINER)


def test_every_default_is_filled_in() -> None:
    plan = _plan().model_dump(mode="json")
    assert set(plan["engine"]) == set(EngineSettings.model_fields)
    assert plan["generation"] == {"max_tokens": 128, "min_tokens": 1}
    assert plan["length"] == {"kind": "official"}
    assert set(plan["inactivity"]) == set(InactivityLimits.model_fields)


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({}, ()),
        ({"length": {"samples": 64}}, ("short",)),
        ({"length": {"samples": 13368}}, ("short",)),
        ({"dataset": {"source": "synthetic"}}, ("synthetic-dataset",)),
        ({"model": {"source": "tiny"}}, ("random-weights",)),
        ({"engine": {"load_format": "dummy"}}, ("random-weights", "performance-only")),
        ({"engine": {"kind": "null"}}, ("null-engine",)),
        ({"generation": {"max_tokens": 64}}, ("output-limit-64",)),
        ({"engine": {"enable_prefix_caching": True}}, ("prefix-caching",)),
        ({"engine": {"quantization": "fp8"}}, ()),
        (
            {"length": {"samples": 64}, "dataset": {"source": "synthetic"}},
            ("short", "synthetic-dataset"),
        ),
    ],
    ids=str,
)
def test_labels_say_what_keeps_it_from_counting(
    change: dict[str, Any], labels: tuple[str, ...]
) -> None:
    assert _plan(**change).labels == labels


def test_another_least_length_than_mlperfs_is_labelled() -> None:
    assert _plan(generation={"min_tokens": 128}).labels != ()


def test_phases_stand_in_the_order_of_the_settings() -> None:
    order = {"scenarios": ["Server", "Offline"], "modes": ["accuracy", "performance"]}
    plan = _plan(**order, server_target_qps=4)
    assert [phase_name(*phase) for phase in plan.phases] == [
        "server-accuracy",
        "server-performance",
        "offline-accuracy",
        "offline-performance",
    ]
    assert plan.scenario(Scenario.SERVER).target_qps == 4.0
    assert plan.scenario(Scenario.OFFLINE).modes == (Mode.ACCURACY, Mode.PERFORMANCE)


def test_a_mode_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        _plan(modes=["performance", "performance"])


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "x" * 64, "a\n"])
def test_a_run_id_that_cannot_stand_in_a_path_is_refused(name: str) -> None:
    values = _plan().model_dump(mode="json")
    with pytest.raises(ValidationError, match="run_id"):
        RunPlan.model_validate(values | {"run_id": name})

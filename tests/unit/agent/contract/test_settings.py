"""Settings: what is refused and how, and how a profile is overridden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.settings import SettingsError, parse_settings, resolve_plan

GOOD: dict[str, Any] = {"model": {"source": "tiny"}, "dataset": {"source": "synthetic"}}


def _refusal(**changes: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        resolve_plan(parse_settings(GOOD | changes), run_id="run", host="host")
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("changes", "key", "near"),
    [
        ({"server_target_qp": 4}, "server_target_qp", "server_target_qps"),
        ({"scenario": ["Offline"]}, "scenario", "scenarios"),
        ({"engine": {"max_num_seq": 4}}, "engine", "max_num_seqs"),
        ({"engine": {"gpu_memory_utilisation": 0.9}}, "engine", "gpu_memory_utilization"),
        ({"generation": {"max_token": 4}}, "generation", "max_tokens"),
    ],
    ids=str,
)
def test_a_misspelt_key_is_named_with_the_near_one(
    changes: dict[str, Any], key: str, near: str
) -> None:
    error = _refusal(**changes)
    assert error.key == key
    assert error.message.endswith(f"did you mean {near}?")


def test_a_key_near_to_none_gets_no_suggestion() -> None:
    error = _refusal(zzz=1)
    assert (error.key, error.message) == ("zzz", "no such setting")


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"server_target_qps": 0}, "server_target_qps", "greater than 0"),
        ({"server_target_qps": "fast"}, "server_target_qps", "'fast'"),
        ({"scenarios": []}, "scenarios", "at least 1"),
        ({"scenarios": ["MultiStream"]}, "scenarios", "'Interactive' or 'SingleStream'"),
        ({"modes": ["speed"]}, "modes", "'performance', 'accuracy' or 'test06'"),
        ({"suite": "cloud"}, "suite", "'datacenter' or 'edge'"),
        ({"scenarios": ["SingleStream"]}, "", "the datacenter suite has no SingleStream"),
        ({"suite": "edge", "scenarios": ["Server"]}, "", "the edge suite has no Server"),
        ({"suite": "edge", "modes": ["test06"]}, "", "the edge suite has no test06"),
        ({"suite": "edge", "length": {"samples": 5001}}, "", "the edge suite has 5000 samples"),
        ({"rate_search": {"queries": 458}}, "rate_search", "459"),
        ({"length": "long"}, "length", "official"),
        ({"length": {"samples": 0}}, "length", "samples"),
        ({"length": {"samples": 13369}}, "length", "13368"),
        ({"length": {"samples": 8, "quick": True}}, "length", "no such key"),
        ({"model": {"source": "cloud"}}, "model", "cloud"),
        ({"model": {"source": "hub", "repo": "x/y"}}, "model", "revision: missing"),
        ({"dataset": {"source": "file"}}, "dataset", "path: missing"),
        ({"dataset": {"source": "synthetic", "sed": 1}}, "dataset", "no such key"),
        ({"inactivity": {"load": 1}}, "inactivity", "no such key"),
        ({"engine": {"dtype": "int4"}}, "engine", "dtype"),
        ({"generation": {"max_tokens": 1}}, "generation", "max_tokens"),
        ({"runtime": "docker"}, "runtime", "'venv' or 'container'"),
        ({"runtime": "cuda"}, "runtime", "'cuda'"),
        ({"profile": "h100"}, "profile", "a30-bf16"),
        ({"profile": "./none.yaml"}, "profile", "none.yaml"),
        ({"profile": "null-engine", "engine": {"max_model_len": 128}}, "", "max_model_len"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named(changes: dict[str, Any], key: str, words: str) -> None:
    error = _refusal(**changes)
    assert error.key == key
    assert words in error.message


@pytest.mark.parametrize("missing", ["model", "dataset"])
def test_a_missing_setting_is_named(missing: str) -> None:
    settings = parse_settings({key: value for key, value in GOOD.items() if key != missing})
    with pytest.raises(SettingsError, match="missing: the profile") as caught:
        resolve_plan(settings, run_id="run", host="host")
    assert caught.value.key == missing


def test_a_profile_may_name_model_dataset_and_modes() -> None:
    alone = resolve_plan(parse_settings({"profile": "dummy-8b"}), run_id="run", host="host")
    assert alone.model.source == "dummy"
    assert [source.source for source in alone.dataset] == ["synthetic"]
    assert {mode for _, mode in alone.phases} == {Mode.PERFORMANCE}
    assert set(alone.labels) == {"synthetic-dataset", "random-weights", "performance-only"}
    changed = {"profile": "dummy-8b", "modes": ["accuracy"], "dataset": {"source": "mlcommons"}}
    other = resolve_plan(parse_settings(changed), run_id="run", host="host")
    assert [source.source for source in other.dataset] == ["mlcommons"]
    assert {mode for _, mode in other.phases} == {Mode.ACCURACY}


def test_a_model_without_weights_needs_an_engine_that_makes_them() -> None:
    settings = parse_settings(GOOD | {"model": {"source": "dummy"}})
    with pytest.raises(SettingsError, match="load_format: dummy"):
        resolve_plan(settings, run_id="run", host="host")


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(SettingsError):
        parse_settings(GOOD | {1: 2})  # type: ignore[dict-item]


def test_a_profile_is_overridden_key_by_key(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        "description: mine\nbuild: cpu\n"
        "engine: {max_num_seqs: 7, max_model_len: 999}\n"
        "generation: {max_tokens: 33}\n"
        "environment: {KEPT: profile, CHANGED: profile}\n"
    )
    plan = resolve_plan(
        parse_settings(
            GOOD
            | {
                "profile": str(profile),
                "engine": {"max_num_seqs": 8},
                "generation": {"min_tokens": 3},
                "environment": {"CHANGED": "settings", "NEW": "settings"},
            }
        ),
        run_id="run",
        host="host",
    )
    assert (plan.engine.max_num_seqs, plan.engine.max_model_len) == (8, 999)
    assert (plan.generation.max_tokens, plan.generation.min_tokens) == (33, 3)
    assert plan.environment == {"KEPT": "profile", "CHANGED": "settings", "NEW": "settings"}


@pytest.mark.parametrize(
    ("changes", "searched"),
    [
        ({}, ["Offline", "Server"]),
        ({"offline_target_qps": 3}, ["Server"]),
        ({"offline_target_qps": 3, "server_target_qps": 5}, []),
        ({"length": {"samples": 64}}, ["Server"]),
        ({"length": {"samples": 64, "min_duration_ms": 1}}, ["Offline", "Server"]),
        ({"modes": ["accuracy"]}, ["Server"]),
        ({"scenarios": ["Interactive"]}, ["Interactive"]),
        ({"suite": "edge"}, ["Offline"]),
    ],
    ids=str,
)
def test_a_rate_that_is_not_given_is_searched_where_it_matters(
    changes: dict[str, Any], searched: list[str]
) -> None:
    values = {key: GOOD[key] for key in ("profile", "model", "dataset") if key in GOOD}
    plan = resolve_plan(parse_settings(values | changes), run_id="run", host="host")
    assert [scenario.value for scenario in plan.searched] == searched


def test_each_scenario_gets_its_own_rate() -> None:
    plan = resolve_plan(
        parse_settings(GOOD | {"offline_target_qps": 3, "server_target_qps": 5}),
        run_id="run",
        host="host",
    )
    assert plan.scenario(Scenario.OFFLINE).target_qps == 3
    assert plan.scenario(Scenario.SERVER).target_qps == 5

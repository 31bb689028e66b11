"""What in a plan is no MLPerf result, open division only, or unwise."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.advice import Advice, AdviceKind, advise
from loadfleet_agent.contract.settings import parse_settings, resolve_plan

HUB = {
    "source": "hub",
    "repo": "meta-llama/Llama-3.1-8B-Instruct",
    "revision": "0e9e39f249a16976918f6564b8830bc894c89659",
}
CLOSED: dict[str, Any] = {
    "profile": "a30-bf16",
    "model": HUB,
    "dataset": {"source": "file", "path": "/datasets/cnn_eval.json"},
    "modes": ["performance", "accuracy", "test06"],
    "offline_target_qps": 9,
    "server_target_qps": 7,
}
EDGE: dict[str, Any] = CLOSED | {"suite": "edge", "modes": ["performance", "accuracy"]}
SHORT = {"samples": 64, "server_queries": 500}

NOT_MLPERF, OPEN_ONLY, UNWISE = AdviceKind


def _advice(settings: dict[str, Any], rate: float | None = None) -> tuple[Advice, ...]:
    return advise(resolve_plan(parse_settings(settings), run_id="run", host="host"), rate)


@pytest.mark.parametrize(
    "settings",
    [
        CLOSED,
        CLOSED | {"offline_target_qps": None, "server_target_qps": None},
        CLOSED | {"scenarios": ["Interactive", "Offline"], "interactive_target_qps": 4},
        CLOSED | {"engine": {"dtype": "float16", "kv_cache_dtype": "float16"}},
        CLOSED | {"model": {"source": "path", "path": "/models/llama"}},
        CLOSED | {"model": HUB | {"repo": "meta-llama/Meta-Llama-3.1-8B-Instruct"}},
        # More than 22/s needs the second pass, to last for 10 min.
        CLOSED | {"offline_target_qps": 25},
        EDGE,
    ],
)
def test_of_a_plan_for_the_closed_division_there_is_none(settings: dict[str, Any]) -> None:
    assert _advice(settings) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "setting", "words"),
    [
        ({"length": SHORT}, NOT_MLPERF, "length", "10 min"),
        ({"dataset": {"source": "synthetic"}}, NOT_MLPERF, "dataset", "made-up articles"),
        ({"dataset": {"source": "rebuilt"}}, NOT_MLPERF, "dataset", "rebuilt"),
        (
            {"dataset": [{"source": "mlcommons"}, {"source": "synthetic"}]},
            NOT_MLPERF,
            "dataset",
            "made-up articles where MLPerf's file is not there",
        ),
        ({"model": {"source": "tiny"}}, NOT_MLPERF, "model.source", "random weights"),
        ({"engine": {"load_format": "dummy"}}, NOT_MLPERF, "engine.load_format", "accuracy"),
        ({"engine": {"kind": "null"}}, NOT_MLPERF, "engine.kind", "harness"),
        ({"modes": ["performance", "test06"]}, NOT_MLPERF, "modes", "no accuracy of Offline, Se"),
        ({"modes": ["accuracy", "test06"]}, NOT_MLPERF, "modes", "no performance of Offline, Se"),
        ({"modes": ["performance", "accuracy"]}, OPEN_ONLY, "modes", "no test06 of Offline, Serv"),
        ({"scenarios": ["Offline"]}, OPEN_ONLY, "scenarios", "Offline with Server or Interactive"),
        ({"scenarios": ["Server"]}, OPEN_ONLY, "scenarios", "Server alone"),
        ({"generation": {"max_tokens": 64}}, OPEN_ONLY, "generation.max_tokens", "64; closed"),
        ({"generation": {"min_tokens": 2}}, OPEN_ONLY, "generation.min_tokens", "2; closed"),
        (
            {"engine": {"enable_prefix_caching": True}},
            OPEN_ONLY,
            "engine.enable_prefix_caching",
            "forbids",
        ),
        ({"engine": {"quantization": "awq"}}, OPEN_ONLY, "engine.quantization", "calibration"),
        ({"engine": {"kv_cache_dtype": "fp8"}}, OPEN_ONLY, "engine.kv_cache_dtype", "calibration"),
        (
            {"model": HUB | {"repo": "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8"}},
            OPEN_ONLY,
            "model.repo",
            "calibration",
        ),
        ({"model": HUB | {"repo": "meta-llama/Llama-3.1-8B"}}, OPEN_ONLY, "model.repo", "Instruct"),
        ({"offline_target_qps": 21}, UNWISE, "offline_target_qps", "above 20.25/s LoadGen issues"),
        ({"offline_target_qps": 41}, UNWISE, "offline_target_qps", "above 40.51/s LoadGen issues"),
        ({"server_target_qps": 0.5}, UNWISE, "server_target_qps", "7 h 26 min"),
        ({"server_target_qps": 0.5}, UNWISE, "server_target_qps", "from 1.86/s on 2 h at most"),
        ({"server_target_qps": 9.5}, UNWISE, "server_target_qps", "9/s Offline"),
        ({"engine": {"max_model_len": 2600}}, UNWISE, "engine.max_model_len", "2,540"),
        (
            {"length": {"samples": 64, "server_queries": 300}},
            UNWISE,
            "length.server_queries",
            "320 Server queries: under 459",
        ),
        (
            {"scenarios": ["Offline", "Server", "Interactive"], "interactive_target_qps": 7},
            UNWISE,
            "interactive_target_qps",
            "TTFT of 500 ms",
        ),
    ],
)
def test_a_setting_is_named_with_its_reason(
    changes: dict[str, Any], kind: AdviceKind, setting: str, words: str
) -> None:
    found = _advice(CLOSED | changes)
    assert [item for item in found if (item.kind, item.setting) == (kind, setting)]
    assert any(words in item.text for item in found if item.setting == setting)
    # The change alone is to blame.
    assert {item.setting for item in found} <= {setting, "length"}


def test_edge_asks_for_both_of_its_scenarios() -> None:
    for scenario in ("Offline", "SingleStream"):
        (found,) = _advice(EDGE | {"scenarios": [scenario]})
        assert (found.kind, found.setting) == (OPEN_ONLY, "scenarios")
        assert "SingleStream and Offline" in found.text


def test_queries_are_counted_as_they_are_issued() -> None:
    """450 are padded to 8 passes of 64, which is enough."""
    found = _advice(CLOSED | {"length": {"samples": 64, "server_queries": 450}})
    assert {item.setting for item in found} == {"length"}


def test_of_a_trial_nobody_asks_whether_it_is_complete() -> None:
    found = _advice(CLOSED | {"length": SHORT, "scenarios": ["Offline"], "modes": ["performance"]})
    assert {item.setting for item in found} == {"length"}


def test_a_host_faster_than_its_offline_target_would_end_too_early() -> None:
    (found,) = _advice(CLOSED | {"offline_target_qps": 20}, 30.0)
    assert (found.kind, found.setting) == (UNWISE, "offline_target_qps")
    assert "INVALID: set 20.26 at least" in found.text
    assert _advice(CLOSED | {"offline_target_qps": 20.26}, 30.0) == ()


def test_a_slow_host_is_told_that_one_pass_is_enough() -> None:
    (found,) = _advice(CLOSED | {"offline_target_qps": 25}, 10.0)
    assert "26,736 samples, 45 min at 10/s; 13,368 last 22 min, which is enough" in found.text


def test_the_gravest_comes_first() -> None:
    found = _advice(
        CLOSED | {"server_target_qps": 0.5, "generation": {"max_tokens": 64}, "length": SHORT}
    )
    kinds = [item.kind for item in found]
    assert kinds == sorted(kinds, key=list(AdviceKind).index)
    assert len(set(kinds)) == 2

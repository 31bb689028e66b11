"""The verdict on a score: MLPerf's limits to the digit, or why they do not apply."""

from __future__ import annotations

import math
from typing import Any

import pytest
from loadfleet_agent.accuracy.judge import judge_accuracy
from loadfleet_agent.contract.benchmark import Scenario, Suite
from loadfleet_agent.contract.result import Accuracy, RougeScore

REFERENCE = {"rouge1": 38.7792, "rouge2": 15.9075, "rougeL": 24.4957, "rougeLsum": 35.793}
LEAST = {"rouge1": 38.391408, "rouge2": 15.748425, "rougeL": 24.250743, "rougeLsum": 35.43507}
GEN_LEN, GEN_NUM = 8_167_644, 13_368


def judge(scenario: Scenario, score: RougeScore, *labels: str) -> Accuracy:
    return judge_accuracy(Suite.DATACENTER, scenario, score, labels)


def _score(**changes: Any) -> RougeScore:
    return RougeScore(**(REFERENCE | {"gen_len": GEN_LEN, "gen_num": GEN_NUM} | changes))


def test_the_reference_itself_passes() -> None:
    judged = judge(Scenario.SERVER, _score())
    assert (judged.scenario, judged.applicable, judged.passed) == (Scenario.SERVER, True, True)
    assert judged.reason == ""


@pytest.mark.parametrize("name", REFERENCE)
def test_passes_at_exactly_99_percent(name: str) -> None:
    assert judge(Scenario.OFFLINE, _score(**{name: LEAST[name]})).passed


def test_passes_with_every_metric_at_its_least() -> None:
    assert judge(Scenario.OFFLINE, _score(**LEAST)).passed


@pytest.mark.parametrize("name", REFERENCE)
def test_fails_just_below(name: str) -> None:
    below = math.nextafter(LEAST[name], 0)
    judged = judge(Scenario.OFFLINE, _score(**{name: below}))
    assert (judged.applicable, judged.passed) == (True, False)
    assert judged.reason.startswith(f"{name} ")
    assert f"below {LEAST[name]:.4f}" in judged.reason


@pytest.mark.parametrize("name", REFERENCE)
def test_fails_at_the_last_printed_digit_below(name: str) -> None:
    """Scores have four decimals; the greatest of them under the limit must fail."""
    printed = math.floor(LEAST[name] * 10_000) / 10_000
    assert printed < LEAST[name] < printed + 0.0001
    assert judge(Scenario.OFFLINE, _score(**{name: printed})).passed is False
    above = round(printed + 0.0001, 4)
    assert judge(Scenario.OFFLINE, _score(**{name: above})).passed is True


@pytest.mark.parametrize(
    ("gen_len", "passed"),
    [(7_350_879, False), (7_350_880, True), (8_984_408, True), (8_984_409, False)],
)
def test_the_length_may_differ_by_a_tenth(gen_len: int, passed: bool) -> None:
    judged = judge(Scenario.OFFLINE, _score(gen_len=gen_len))
    assert judged.passed is passed
    assert ("gen_len" in judged.reason) is not passed


@pytest.mark.parametrize("count", [13_367, 13_369, 5_000])
def test_another_number_of_samples_fails(count: int) -> None:
    judged = judge(Scenario.OFFLINE, _score(gen_num=count))
    assert judged.passed is False
    assert f"{count} samples, not 13368" in judged.reason


def test_every_missed_target_is_named() -> None:
    judged = judge(Scenario.OFFLINE, _score(rouge1=1, rougeLsum=1, gen_len=1, gen_num=1))
    parts = [part.split()[0] for part in judged.reason.split("; ")]
    assert parts == ["rouge1", "rougeLsum", "gen_len", "1"]


def test_targets_that_do_not_apply_are_not_judged() -> None:
    for score in (_score(), _score(rouge1=0)):
        judged = judge(Scenario.OFFLINE, score, "short", "random-weights")
        assert (judged.applicable, judged.passed) == (False, None)
        assert judged.reason == "not applicable: short, random-weights"
        assert judged.score == score


EDGE = {"rouge1": 39.06, "rouge2": 16.1147, "rougeL": 24.6375, "rougeLsum": 36.124}
EDGE_LEAST = {"rouge1": 38.6694, "rouge2": 15.953553, "rougeL": 24.391125, "rougeLsum": 35.76276}


def test_the_edge_suite_has_targets_of_its_own() -> None:
    def edge(**changes: Any) -> Accuracy:
        score = RougeScore(**(EDGE | {"gen_len": 3_051_113, "gen_num": 5_000} | changes))
        return judge_accuracy(Suite.EDGE, Scenario.SINGLE_STREAM, score, ())

    assert edge().passed
    assert edge(**EDGE_LEAST).passed
    for name, least in EDGE_LEAST.items():
        assert edge(**{name: math.nextafter(least, 0)}).passed is False
    for gen_len, passed in ((2_746_001, False), (2_746_002, True), (3_356_225, False)):
        assert edge(gen_len=gen_len).passed is passed
    assert "5000" in edge(gen_num=4_999).reason
    assert edge(**REFERENCE).passed is False

"""Evaluations of several hosts as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from loadfleet_agent.contract.evaluation import Shard
from loadfleet_agent.contract.roofline import Precision
from loadfleet_aggregator.evaluation.fleet import fleet_evaluations, missed_by
from loadfleet_aggregator.evaluation.paired import exact_p

from .made import EXPECTED, PLAN, told

NONE_RIGHT = "DDDADDDA"
ONE_WRONG = "BBCDABCD"


def test_hosts_that_were_asked_all_are_one_score_of_all_questions() -> None:
    (found,) = fleet_evaluations([told("a"), told("b")], {"A": PLAN})
    assert (found.shards, found.missing) == (1, "")
    assert found.score is not None
    assert (found.score.questions, found.score.correct) == (8, 8)
    assert (found.compared, found.identical) == (8, 1.0)
    assert [host.identical for host in found.hosts] == [1.0, 1.0]


@pytest.mark.parametrize(("letters", "passed"), [(EXPECTED, True), (NONE_RIGHT, False)])
def test_it_is_held_against_99_percent_of_the_published_score(letters: str, passed: bool) -> None:
    (found,) = fleet_evaluations([told("a", letters)], {"A": PLAN})
    assert found.published is not None
    assert found.least_macro == pytest.approx(0.99 * 69.4, abs=0.001)
    assert found.passed is passed
    assert missed_by("a", [found]) == (
        [] if passed else ["mmlu_llama: macro 0.00 % below 68.71 %, 99% of the published"]
    )
    assert missed_by("b", [found]) == []


def test_each_host_is_judged_by_its_own_answers() -> None:
    parts = [told("a"), told("b", NONE_RIGHT), told("c"), told("d", labels=["short"])]
    (found,) = fleet_evaluations(parts, {"A": PLAN})
    assert {item.host: item.passed for item in found.hosts} == {
        "a": True,
        "b": False,
        "c": True,
        "d": None,
    }
    assert (found.passed, found.reason) == (False, "1 of 4 hosts below 68.71 % macro: b")
    assert [missed_by(name, [found]) == [] for name in "abcd"] == [True, False, True, True]


def test_other_questions_on_one_host_shield_none() -> None:
    parts = [told("a"), told("b", NONE_RIGHT), told("c", questions="d" * 64)]
    (found,) = fleet_evaluations(parts, {"A": PLAN})
    assert found.score is None
    assert found.missing == "not all hosts were asked the same questions: c"
    assert [item.passed for item in found.hosts] == [True, False, True]


def test_a_host_that_was_asked_fewer_leaves_no_mean() -> None:
    parts = [told("a"), told("b", EXPECTED[:7] + " ")]
    (found,) = fleet_evaluations(parts, {"A": PLAN})
    assert (found.score, found.missing) == (None, "not all hosts were asked all of the questions")


def test_of_another_number_of_questions_nothing_is_published() -> None:
    one = told("a")
    data = one.result.data.model_copy(update={"questions": 14_041})
    part = replace(one, result=one.result.model_copy(update={"data": data}))
    (found,) = fleet_evaluations([part], {"A": PLAN})
    assert (found.published, found.passed) == (None, None)


def test_other_forms_and_labelled_results_are_held_against_nothing() -> None:
    (labelled,) = fleet_evaluations([told("a", labels=["short"])], {"A": PLAN})
    assert (labelled.passed, labelled.reason) == (None, "no limit applies: short")
    (other,) = fleet_evaluations([told("a", task="mmlu")], {"A": PLAN})
    assert other.passed is None
    assert "nothing is published" in other.reason


def test_a_host_takes_off_no_label_of_its_plan() -> None:
    evaluation = {
        "task": "mmlu_llama", "shots": 5, "split": "test", "data": {"source": "synthetic"}
    }  # fmt: skip
    (found,) = fleet_evaluations([told("a")], {"A": PLAN | {"evaluations": [evaluation]}})
    assert (found.labels, found.passed) == (("synthetic-data",), None)


class TestShards:
    def test_they_are_joined(self) -> None:
        parts = [told(name, ONE_WRONG, shard=Shard(index=i, of=3)) for i, name in enumerate("abc")]
        (found,) = fleet_evaluations(parts, {"A": PLAN})
        assert (found.shards, found.missing) == (3, "")
        assert found.score is not None
        assert (found.score.questions, found.score.correct) == (8, 7)
        assert found.compared == 0

    def test_one_that_is_missing_leaves_no_score_and_no_verdict(self) -> None:
        parts = [told("a", shard=Shard(index=0, of=3)), told("c", shard=Shard(index=2, of=3))]
        (found,) = fleet_evaluations(parts, {"A": PLAN})
        assert found.score is None
        assert found.missing == "of 3 shards 1 are missing: 2"
        assert (found.passed, found.reason) == (None, f"not complete: {found.missing}")

    def test_other_questions_are_no_shard(self) -> None:
        parts = [
            told("a", shard=Shard(index=0, of=2)),
            told("b", shard=Shard(index=1, of=2), questions="d" * 64),
        ]
        (found,) = fleet_evaluations(parts, {"A": PLAN})
        assert "not asked the same questions" in found.missing

    def test_two_of_the_same_questions_are_not_the_whole(self) -> None:
        first, second = (told(name, shard=Shard(index=0, of=2)) for name in "ab")
        lied = second.result.model_copy(update={"shard": Shard(index=1, of=2)})
        (found,) = fleet_evaluations([first, replace(second, result=lied)], {"A": PLAN})
        assert (found.score, found.passed) == (None, None)
        assert found.missing == "the shards were not asked each question once"

    def test_one_without_answers_is_not_counted(self) -> None:
        first, second = (told(n, shard=Shard(index=i, of=2)) for i, n in enumerate("ab"))
        (found,) = fleet_evaluations([first, replace(second, answers=None)], {"A": PLAN})
        assert (found.score, found.missing) == (None, "the answers of a shard cannot be used: b")

    def test_all_hosts_of_shards_that_miss_together_miss(self) -> None:
        parts = [told(name, NONE_RIGHT, shard=Shard(index=i, of=2)) for i, name in enumerate("ab")]
        (found,) = fleet_evaluations(parts, {"A": PLAN})
        assert [item.passed for item in found.hosts] == [False, False]


def test_the_host_that_answers_otherwise_is_found() -> None:
    parts = [told("a"), told("b", ONE_WRONG), told("c")]
    (found,) = fleet_evaluations(parts, {"A": PLAN})
    assert found.identical == pytest.approx(7 / 8)
    shares = {host.host: host.identical for host in found.hosts}
    assert shares == {"a": 1.0, "b": pytest.approx(7 / 8), "c": 1.0}


class TestAgainstBfloat16:
    def test_a_quantised_plan_is_compared_question_by_question(self) -> None:
        parts = [
            told("a"),
            told("b", "BBCDABC-", group="B", precision=Precision.W4A16),
        ]
        whole, quantised = fleet_evaluations(parts, {"A": PLAN, "B": PLAN})
        assert whole.paired is None
        paired = quantised.paired
        assert paired is not None
        assert (paired.group, paired.host, paired.questions) == ("A", "a", 8)
        assert (paired.only_here, paired.only_there, paired.difference) == (0, 2, -25.0)
        assert paired.p_value == 0.5

    def test_shards_are_compared_when_they_are_joined(self) -> None:
        parts = [
            told("a", shard=Shard(index=0, of=2)),
            told("b", shard=Shard(index=1, of=2)),
            told("c", ONE_WRONG, group="B", precision=Precision.W8A8),
        ]
        quantised = fleet_evaluations(parts, {"A": PLAN, "B": PLAN})[1]
        assert quantised.paired is not None
        assert quantised.paired.host == "a, b"
        assert quantised.paired.only_there == 1

    @pytest.mark.parametrize("other", [{"shots": 0}, {"tokenizer": "0" * 64}])
    def test_other_prompts_are_compared_with_nothing(self, other: dict[str, Any]) -> None:
        parts = [told("a", **other), told("b", group="B", precision=Precision.W4A16)]
        assert all(item.paired is None for item in fleet_evaluations(parts, {"A": PLAN, "B": PLAN}))

    def test_the_bfloat16_plan_that_was_asked_the_same_task_is_taken(self) -> None:
        parts = [
            told("a", task="mmlu"),
            told("b", group="B"),
            told("c", ONE_WRONG, group="C", precision=Precision.W4A16),
        ]
        found = fleet_evaluations(parts, dict.fromkeys("ABC", PLAN))
        paired = {item.group: item.paired for item in found}["C"]
        assert paired is not None
        assert (paired.group, paired.only_there) == ("B", 1)

    def test_an_unknown_precision_is_compared_with_nothing(self) -> None:
        parts = [told("a", precision=None), told("b", group="B", precision=Precision.W4A16)]
        assert all(item.paired is None for item in fleet_evaluations(parts, {"A": PLAN, "B": PLAN}))


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 0, 1.0), (1, 1, 1.0), (0, 6, 0.03125), (3, 12, 0.035156)]
)
def test_mcnemars_exact_p(one: int, other: int, p: float) -> None:
    """Of the binomial distribution's tables: 2 P(X <= 3 | n = 15, 1/2) = 0.0352."""
    assert exact_p(one, other) == pytest.approx(p, abs=1e-6)

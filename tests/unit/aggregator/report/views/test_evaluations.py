"""Evaluations as a report shows them."""

from __future__ import annotations

import pytest
from loadfleet_aggregator.evaluation.fleet import fleet_evaluations
from loadfleet_aggregator.evaluation.model import WrongAnswer
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.page import render_html
from loadfleet_aggregator.report.views.answer import find_answer
from loadfleet_aggregator.report.views.evaluations import evaluation_views
from loadfleet_aggregator.report.views.standing import place_hosts

from ...evaluation.made import EXPECTED, PLAN, told


def with_evaluations(report: FleetReport, letters: str) -> FleetReport:
    """gpu-1 and gpu-2 were asked; their group is the report's."""
    group = report.hosts[0].group or "A"
    found = fleet_evaluations(
        [told(name, letters, group=group) for name in ("gpu-1", "gpu-2")], {group: PLAN}
    )
    return report.model_copy(update={"evaluations": found})


def test_the_answer_names_the_score_and_the_published_one(eight: FleetReport) -> None:
    report = with_evaluations(eight, EXPECTED)
    answer = find_answer(report, place_hosts(report))
    assert answer.accuracy[-1] == "mmlu_llama: macro 100.00 %, published 69.4 %"


def test_a_missed_evaluation_is_missed_accuracy(eight: FleetReport) -> None:
    report = with_evaluations(eight, "DDDADDDA")
    assert find_answer(report, place_hosts(report)).accuracy_passed is False


def test_subjects_come_with_the_weakest_first(eight: FleetReport) -> None:
    report = with_evaluations(eight, "ABCDDDDA")
    (view,) = evaluation_views(report, place_hosts(report))
    assert [(row.name, row.share) for row in view.subjects] == [
        ("astronomy", 0.0),
        ("anatomy", 100.0),
    ]
    assert view.verdict == "missed"
    assert view.title == "mmlu_llama, 5-shot, test split"
    assert "macro 50.00 % (" in view.lines[0]


def test_no_text_of_a_question_is_markup(eight: FleetReport) -> None:
    report = with_evaluations(eight, "DBCDABCD")
    wrong = WrongAnswer(
        host="gpu-1",
        subject="anatomy",
        index=0,
        question="<script>alert(1)</script> | x",
        choices=("<b>", "2", "3", "4"),
        expected="A",
        answer="D",
        response="",
        prompt_tokens=1317,
        prompt="<i>five shots</i>",
    )
    (item,) = report.evaluations
    report = report.model_copy(
        update={"evaluations": (item.model_copy(update={"wrong": (wrong,)}),)}
    )
    page = render_html(report)
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>," not in page
    assert "Prompt, 1,317 tokens" in page
    assert "<pre>&lt;i&gt;five shots&lt;/i&gt;</pre>" in page
    assert page.count("<script>") == 1  # the page's own


@pytest.mark.parametrize("letters", [EXPECTED, "ABC-DDDA"])
def test_markdown_says_the_same_numbers(eight: FleetReport, letters: str) -> None:
    report = with_evaluations(eight, letters)
    text = render_markdown(report)
    (view,) = evaluation_views(report, place_hosts(report))
    for row in view.subjects:
        assert f"| {row.name} | {row.subject.correct} | 4 |" in text
    for host in ("gpu-1", "gpu-2"):
        assert f"| {host} | 8 |" in text

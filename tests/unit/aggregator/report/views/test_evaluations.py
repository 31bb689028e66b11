"""Evaluations as a report shows them."""

from __future__ import annotations

from collections.abc import Sequence

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
from ..reading import tables


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
    answer = find_answer(report, place_hosts(report))
    assert answer.accuracy_passed is False
    assert answer.accuracy[-1] == "mmlu_llama: macro 0.00 %, published 69.4 %, missed"


def test_the_answer_tells_groups_apart(eight: FleetReport) -> None:
    found = fleet_evaluations(
        [told("gpu-1", group="A"), told("gpu-2", "DDDADDDA", group="B")], {"A": PLAN, "B": PLAN}
    )
    pooled = [item.model_copy(update={"group": g}) for item in eight.pooled_accuracy for g in "AB"]
    alike = [item.model_copy(update={"group": g}) for item in eight.agreement for g in "AB"]
    report = eight.model_copy(
        update={
            "evaluations": found,
            "pooled_accuracy": tuple(pooled),
            "agreement": tuple(alike),
        }
    )
    lines = find_answer(report, place_hosts(report)).accuracy
    assert lines[-2:] == (
        "mmlu_llama, group A: macro 100.00 %, published 69.4 %",
        "mmlu_llama, group B: macro 0.00 %, published 69.4 %, missed",
    )
    assert [line.split(":")[0] for line in lines[1:-2]] == [
        "Offline, group A", "Offline, group B", "Offline, group A", "Offline, group B",
    ]  # fmt: skip


def with_metrics(report: FleetReport, values: Sequence[float | None]) -> FleetReport:
    """gpu-1 and those after it were asked gsm8k, with these results."""
    (item,) = with_evaluations(report, EXPECTED).evaluations
    hosts = tuple(
        item.hosts[0].model_copy(
            update={
                "host": f"gpu-{number}",
                "micro": None,
                "macro": None,
                "metrics": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": value}},
            }
        )
        for number, value in enumerate(values, start=1)
    )
    changes = {"task": "gsm8k", "score": None, "subjects": (), "categories": (), "hosts": hosts}
    return report.model_copy(update={"evaluations": (item.model_copy(update=changes),)})


def metric_row(report: FleetReport) -> str:
    (row,) = (
        row
        for rows in tables(render_markdown(report))
        if rows[0].startswith("| part | metric")
        for row in rows
        if row.startswith("| gsm8k |")
    )
    return row


def test_each_hosts_metrics_stand_beside_the_others(eight: FleetReport) -> None:
    report = with_metrics(eight, [0.75, 0.5, None])
    assert metric_row(report) == "| gsm8k | exact_match,strict-match | 0.75 | 0.5 | \N{EN DASH} |"
    html = render_html(report)
    for host in ("gpu-1", "gpu-2", "gpu-3"):
        assert f'<th scope="col" class="n">{host}</th>' in html
    for value in ("0.75", "0.5", "\N{EN DASH}"):
        assert f'<td class="n">{value}</td>' in html


def test_metrics_of_many_hosts_are_their_range(eight: FleetReport) -> None:
    report = with_metrics(eight, [0.75, 0.5, 0.625, 0.875, 0.7])
    assert metric_row(report) == (
        "| gsm8k | exact_match,strict-match | 0.5 (gpu-2) | 0.7 | 0.875 (gpu-4) |"
    )
    page = render_html(report)
    assert '<td class="n">0.5<small>gpu-2</small></td>' in page
    assert "Of 5 hosts; each one's metrics are in report.json." in page


def test_metrics_that_are_the_same_on_many_hosts_name_none(eight: FleetReport) -> None:
    report = with_metrics(eight, [0.75] * 30)
    assert metric_row(report) == "| gsm8k | exact_match,strict-match | 0.75 | 0.75 | 0.75 |"


def test_metrics_that_are_no_numbers_have_no_range(eight: FleetReport) -> None:
    row = metric_row(with_metrics(eight, [None] * 5))
    dash = "\N{EN DASH}"
    assert row == f"| gsm8k | exact_match,strict-match | {dash} | {dash} | {dash} |"


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
        answer="",
        response="<u>I cannot say",
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
    assert "<td>A</td>" in page
    assert "no letter<details><summary>Answer as generated</summary>" in page
    assert "<pre>&lt;u&gt;I cannot say</pre>" in page
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


def test_each_host_is_told_whether_it_passed(eight: FleetReport) -> None:
    group = eight.hosts[0].group or "A"
    parts = [told("gpu-1", group=group), told("gpu-2", "DDDADDDA", group=group)]
    report = eight.model_copy(update={"evaluations": fleet_evaluations(parts, {group: PLAN})})
    rows = [line for line in render_markdown(report).splitlines() if "| off |" in line]
    assert [row.split(" | ")[-1].rstrip(" |") for row in rows] == [
        "passed",
        "macro 0.00 % below 68.71 %, 99% of the published",
    ]
    page = render_html(report)
    assert "<small>macro 0.00 % below 68.71 %, 99% of the published</small>" in page

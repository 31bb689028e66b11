"""A speed whose accuracy was missed is struck through, with the reason beside it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport, HostReport
from loadfleet_aggregator.report.page import render_html
from loadfleet_aggregator.report.performance import performance_runs
from loadfleet_aggregator.report.scenarios import scenario_reports
from loadfleet_aggregator.report.views.answer import Figure, find_answer
from loadfleet_aggregator.report.views.standing import place_hosts
from loadfleet_aggregator.verdict import Verdict, VerdictKind

from ...filled import filled_fleet
from ...fleets import changed_host, rouge, single_stream
from ..reading import seen, tables

MMLU = "mmlu_llama: macro 60.00 % below 68.71 %, 99% of the published"
ROUGE = "rougeL 20.1000 below 24.0000"
ROUGE_TOLD = f"ROUGE: {ROUGE}"

CASES = [
    pytest.param({"evaluations_missed": (MMLU,)}, MMLU, id="mmlu"),
    pytest.param({"accuracy": rouge(False, ROUGE)}, ROUGE_TOLD, id="rouge"),
]


def missing(report: FleetReport, changes: dict[str, Any], *names: str) -> FleetReport:
    """The report in which these hosts missed, with the sums that follow."""
    (reason,) = changes.get("evaluations_missed") or (changes["accuracy"][0].reason,)
    verdict = Verdict(kind=VerdictKind.NOT_VALID, reason=reason)
    for name in names:
        report = changed_host(report, name, verdict=verdict, **changes)
    return report.model_copy(update={"scenarios": scenario_reports(report.hosts)})


@pytest.fixture(scope="module")
def three(h100_report: FleetReport) -> FleetReport:
    """Three valid hosts."""
    report = filled_fleet(h100_report, 3)
    for host in report.hosts:
        report = changed_host(report, host.name, accuracy=rouge(True))
    return report.model_copy(update={"scenarios": scenario_reports(report.hosts)})


def host_of(report: FleetReport, name: str) -> HostReport:
    (host,) = (host for host in report.hosts if host.name == name)
    return host


def offline(report: FleetReport, name: str) -> float:
    speed = performance_runs(host_of(report, name))[Scenario.OFFLINE].tokens_per_second
    assert speed
    return speed


def first_figure(report: FleetReport) -> Figure:
    return find_answer(report, place_hosts(report)).figures[0]


def html_rows(html: str, section: str, host: str) -> list[str]:
    """Rows of the tables of a section of the page that are a host's."""
    (found,) = re.findall(rf'<section id="{section}">(.*?)</section>', html, flags=re.DOTALL)
    rows = re.findall(r"<tr\b.*?</tr>", found, flags=re.DOTALL)
    return [row for row in rows if re.search(rf">{host}</a></th>", row)]


def markdown_row(text: str, table: str, host: str) -> str:
    (row,) = (
        row
        for rows in tables(text)
        if rows[0].startswith(table)
        for row in rows
        if row.startswith(f"| {host} |")
    )
    return row


@pytest.mark.parametrize(("changes", "reason"), CASES)
class TestMissed:
    def test_page_strikes_the_hosts_speed_in_every_table(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        report = missing(three, changes, "gpu-2")
        html = render_html(report)
        speed = offline(report, "gpu-2")
        (fleet,) = html_rows(html, "fleet", "gpu-2")
        assert f"<s>{speed:,.1f}</s>" in fleet
        assert reason.removeprefix("ROUGE: ") in fleet
        row = html_rows(html, "throughput", "gpu-2")[0]
        assert f"<s>{speed:,.2f}</s>" in row
        assert f"no: {reason}" in row
        assert html.count(f"<s>{speed:,.2f}</s>") == 2  # there and in the host's own section

    def test_markdown_strikes_the_hosts_speed_in_every_table(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        report = missing(three, changes, "gpu-2")
        text = render_markdown(report)
        speed = offline(report, "gpu-2")
        hosts = markdown_row(text, "| host | verdict", "gpu-2")
        assert f"| ~~{speed:,.1f}~~ |" in hosts
        assert reason.removeprefix("ROUGE: ") in hosts
        row = text[text.index("## Offline, group A") :].split("| gpu-2 |")[1].split("\n")[0]
        assert f"~~{speed:,.2f}~~" in row
        assert f"no: {reason}" in row

    def test_a_valid_hosts_speed_is_not_struck(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        report = missing(three, changes, "gpu-2")
        html, text = render_html(report), render_markdown(report)
        for name in ("gpu-1", "gpu-3"):
            rows = html_rows(html, "fleet", name) + html_rows(html, "throughput", name)
            assert rows
            assert not [row for row in rows if "<s>" in row or reason in row]
            assert not [
                row for row in text.splitlines() if row.startswith(f"| {name} |") and "~~" in row
            ]

    def test_the_groups_sum_is_struck_with_how_many_missed(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        report = missing(three, changes, "gpu-2")
        figure = first_figure(report)
        assert figure.struck
        assert figure.note == f"sum of 2 valid hosts; 1 of 3 hosts not valid: {reason}"
        html, text = render_html(report), render_markdown(report)
        total = offline(report, "gpu-1") + offline(report, "gpu-3")
        assert f"<b><s>{total:,.1f}</s></b> tokens/s" in html
        assert f"<s>{total:,.2f}</s>" in html
        assert f"| **sum of 2** | ~~{total:,.2f}~~ |" in text
        assert f"1 of 3 hosts not valid: {reason}" in seen(html)
        assert f"| 1 of 3 hosts not valid: {reason} |" in text

    def test_the_figure_of_hosts_that_all_missed_says_why(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        figure = first_figure(missing(three, changes, "gpu-1", "gpu-2", "gpu-3"))
        assert figure.struck
        assert figure.note == f"by host; 3 of 3 hosts not valid: {reason}"

    def test_single_streams_latency_is_struck(
        self, three: FleetReport, changes: dict[str, Any], reason: str
    ) -> None:
        if "accuracy" in changes:
            of_run = changes["accuracy"][0].model_copy(update={"scenario": Scenario.SINGLE_STREAM})
            changes = {"accuracy": (of_run,)}
        names = ("gpu-1", "gpu-2", "gpu-3")
        for missed in (names, names[:1]):
            report = missing(single_stream(three), changes, *missed)
            figure = first_figure(report)
            assert (figure.struck, figure.unit) == (True, "ms")
            assert f"{len(missed)} of 3 hosts not valid: {reason}" in figure.note
            (row,) = html_rows(render_html(report), "fleet", "gpu-1")
            assert re.search(r"<s>[\d.,]+</s>", row)


def test_nothing_is_struck_where_every_host_is_valid(three: FleetReport) -> None:
    assert "<s>" not in render_html(three)
    assert "~~" not in render_markdown(three)
    for figure in find_answer(three, place_hosts(three)).figures:
        assert not figure.struck
        assert figure.note == "sum of 3 valid hosts"


def test_hosts_with_reasons_of_their_own_are_counted(three: FleetReport) -> None:
    report = missing(three, {"evaluations_missed": (MMLU,)}, "gpu-2")
    report = missing(report, {"evaluations_missed": (MMLU.replace("60", "61"),)}, "gpu-3")
    assert first_figure(report).note == (
        f"on the one valid host; 2 of 3 hosts not valid: {MMLU} and 1 more"
    )


def test_a_rouge_miss_of_another_scenario_leaves_the_speed(three: FleetReport) -> None:
    report = missing(three, {"accuracy": rouge(False, ROUGE)}, "gpu-2")
    _, server = find_answer(report, place_hosts(report)).figures
    assert (server.title, server.struck, server.note) == ("Server", False, "sum of 3 valid hosts")


def test_what_strikes_the_sum_is_told_before_other_reasons(eight: FleetReport) -> None:
    report = missing(eight, {"evaluations_missed": (MMLU,)}, "gpu-2")
    _, server = find_answer(report, place_hosts(report)).figures
    assert server.struck
    assert server.note == f"sum of 3 valid hosts; 2 of 5 hosts not valid: {MMLU} and 1 more"


def test_a_run_that_is_not_valid_is_left_out_of_a_sum_that_stands(eight: FleetReport) -> None:
    """Only accuracy is a fault of what the whole group shares."""
    _, server = find_answer(eight, place_hosts(eight)).figures
    assert not server.struck
    assert server.note == "sum of 4 valid hosts; 1 of 5 hosts not valid: loadgen-valid: INVALID"
    html = render_html(eight)
    (row,) = (row for row in html_rows(html, "throughput", "gpu-7") if "no: " in row)
    assert "<s>" in row
    assert "no: loadgen-valid: INVALID" in row

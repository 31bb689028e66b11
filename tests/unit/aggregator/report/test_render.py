"""The renderings show the whole report, need nothing else, and trust no text of a host."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS, RUN_RECORD
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.render import (
    publish,
    render_csv,
    render_html,
    render_markdown,
    write_reports,
)

from ..helpers import HostRun, edit_json, make_note, make_run, snapshot
from .gpu_hosts import gpu_host

VOID = {"meta", "br", "link", "img", "input", "hr", "rect", "line", "circle"}
FILES = ("report.json", "report.html", "report.md", "hosts.csv")


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def noted(folder: Path, host: str, state: str, step: str, message: str) -> FleetReport:
    """The report where the controller saw this of a host of which nothing was collected."""
    (folder / HOSTS / host).rename(folder / "away")
    (folder / CONTROLLER).mkdir()
    note = make_note(host, state, step, message)
    path = folder / CONTROLLER / f"{host}.json"
    path.write_text(note.model_dump_json(), encoding="utf-8")
    return build_report(folder)


@pytest.fixture
def complete(host_a: HostRun, host_b: HostRun, tmp_path: Path) -> FleetReport:
    """Two hosts, both ok."""
    return build_report(make_run(tmp_path / "results", [host_a, host_b]))


class TestHtml:
    def test_is_self_contained(self, complete: FleetReport) -> None:
        html = render_html(complete)
        page = Page(html)
        assert not {"script", "link", "iframe", "object", "embed", "img", "base"} & set(page.tags)
        loading = {"src", "srcset", "href", "xlink:href", "data", "action", "background"}
        assert [
            value
            for _, name, value in page.attributes
            if name in loading and not value.startswith(("#", "data:"))
        ] == []
        assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
        style = "".join(re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL))
        assert "@import" not in style
        assert "url(" not in style

    def test_has_a_dark_mode(self, complete: FleetReport) -> None:
        html = render_html(complete)
        assert "@media (prefers-color-scheme: dark)" in html
        assert "color-scheme: light dark" in html

    def test_has_a_table_and_a_label_for_each_chart(self, complete: FleetReport) -> None:
        html = render_html(complete)
        charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
        assert len(charts) == 4
        assert all('role="img"' in chart and 'aria-label="' in chart for chart in charts)
        for section in re.findall(r"<section.*?</section>", html, flags=re.DOTALL):
            if "<svg" in section:
                assert "<table" in section[section.rindex("</svg>") :]

    def test_shows_loadgens_numbers(self, complete: FleetReport) -> None:
        html = render_html(complete)
        for scenario in complete.scenarios:
            for entry in scenario.hosts:
                assert f"{entry.tokens_per_second:,.2f}" in html

    def test_shows_the_statement_the_labels_and_every_host(self, complete: FleetReport) -> None:
        text = "".join(Page(render_html(complete)).text)
        assert complete.statement in text
        assert complete.headline in text
        for word in (*complete.labels, "host-a", "host-b", *complete.definitions):
            assert word in text

    def test_shows_a_host_without_any_number(self, fleet: Path) -> None:
        report = noted(fleet, "host-b", "unreachable", "inspect", "Connection refused")
        text = "".join(Page(render_html(report)).text)
        assert "Connection refused" in text
        assert "not selected for this run" in text

    def test_shows_a_host_with_one_scenario_alone(self, host_c: HostRun, tmp_path: Path) -> None:
        html = render_html(build_report(make_run(tmp_path, [host_c])))
        assert "Offline" in html
        assert Page(html).tags.count("svg") == 1

    def test_has_a_column_for_each_scenario_that_was_run(self, complete: FleetReport) -> None:
        host = complete.hosts[0]
        (server,) = (p for p in host.phases if p.name == "server-performance")
        assert server.latency
        change = {"scenario": Scenario.SINGLE_STREAM, "name": "singlestream-performance"}
        others = tuple(phase for phase in host.phases if phase is not server)
        edge = host.model_copy(update={"phases": (*others, server.model_copy(update=change))})
        report = complete.model_copy(update={"hosts": (edge, complete.hosts[1])})
        p90_ms = server.latency.percentiles["90.00"] / 1e6
        html = "".join(Page(render_html(report)).text)
        markdown = render_markdown(report)
        for text in (html, markdown):
            for heading in ("Offline tokens/s", "Server tokens/s", "SingleStream p90 ms"):
                assert heading in text
            assert "Interactive tokens/s" not in text
        (row,) = (line for line in markdown.splitlines() if line.startswith("| host-a | ok"))
        shown = row.split(" | ")[-2].replace(",", "")
        assert float(shown) == pytest.approx(p90_ms, abs=0.05)

    def test_shows_a_run_of_which_nothing_came(self, tmp_path: Path) -> None:
        report = build_report(make_run(tmp_path, [], inventory=["host-z"]))
        text = "".join(Page(render_html(report)).text)
        assert "No performance run was completed." in text

    def test_escapes_what_a_host_says(self, fleet: Path) -> None:
        hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
        html = render_html(noted(fleet, "host-b", "failed", hostile, hostile))
        page = Page(html)
        assert {"script", "img"}.isdisjoint(page.tags)
        assert "".join(page.text).count(hostile) == 2


class TestGpus:
    """Sections that only runs on GPUs have."""

    HEADS = ("How far from the physical limit", "Energy", "Energy and cost")

    @staticmethod
    def sections(report: FleetReport) -> list[str]:
        """Of both renderings, which have the same."""
        html = re.findall(r"<h2>(.*?)</h2>", render_html(report))
        markdown = re.findall(r"^## (.*)$", render_markdown(report), flags=re.MULTILINE)
        found = [[head for head in heads if head in TestGpus.HEADS] for heads in (html, markdown)]
        assert found[0] == found[1]
        return found[0]

    @pytest.fixture
    def mixed(self, h100_host: HostRun, host_a: HostRun, tmp_path: Path) -> Path:
        """A host with an H100, one with a GPU that is not known and no energy, one without."""
        unknown = {"name": "Quadro <P400>"}
        other = gpu_host(tmp_path / "run", "gpu-02", gpu=unknown, reason="a | hole")
        return make_run(tmp_path / "results", [h100_host, other, host_a])

    def test_are_hidden_without_gpus(self, complete: FleetReport) -> None:
        assert self.sections(complete) == []

    def test_have_a_cost_only_with_a_price(self, mixed: Path) -> None:
        assert self.sections(build_report(mixed)) == [*self.HEADS[:2]]
        priced = build_report(mixed, Prices(per_gpu_hour=2.5, per_kwh=0.3))
        assert self.sections(priced) == [self.HEADS[0], self.HEADS[2]]
        for text in (render_html(priced), render_markdown(priced)):
            assert "Prices: 2.5 per GPU-hour and 0.3 per kWh." in text

    def test_show_the_numbers_of_the_json(self, mixed: Path) -> None:
        report = build_report(mixed, Prices(per_gpu_hour=2.5, per_kwh=0.3))
        values = json.loads(report.model_dump_json())["hosts"][0]["phases"]
        for text in (render_html(report), render_markdown(report)):
            for phase in values:
                limit, energy, cost = phase["limit"], phase["energy"], phase["cost"]
                for shown in (
                    f"{limit['limit_tokens_per_second']:,.1f}",
                    f"{limit['reached'] * 100:.1f} %",
                    f"{energy['joules']:,.0f}",
                    f"{energy['joules_per_output_token']:.3f}",
                    f"{energy['tokens_per_second_per_watt']:.3f}",
                    f"{cost['total']:.3g}",
                ):
                    assert shown in text
            assert "36\N{EN DASH}54 %" in text

    def test_say_why_a_number_is_missing_and_trust_no_host(self, mixed: Path) -> None:
        report = build_report(mixed)
        html = render_html(report)
        page = Page(html)
        for words in (
            "no limit is known: the peaks of Quadro <P400> are not in the table of GPUs",
            "not known: GPU 0: a | hole",
        ):
            assert "".join(page.text).count(words) == 2
        assert html.count('aria-label="share of the physical limit') == 1
        markdown = render_markdown(report)
        assert "not known: GPU 0: a \\| hole |" in markdown
        for rows in TestMarkdown.tables(markdown):
            assert {TestMarkdown.cells(row) for row in rows} == {TestMarkdown.cells(rows[0])}

    def test_name_the_hosts_of_each_price(self, mixed: Path) -> None:
        edit_json(
            mixed / RUN_RECORD,
            lambda record: record["hosts"]["gpu-01"].update(prices={"per_gpu_hour": 4}),
        )
        text = render_markdown(build_report(mixed, Prices(per_kwh=0.3)))
        assert "Prices: 4 per GPU-hour and 0.3 per kWh on gpu-01; 0.3 per kWh on gpu-02." in text

    def test_call_a_run_above_its_limit_what_it_is(
        self, h100_host: HostRun, tmp_path: Path
    ) -> None:
        report = build_report(make_run(tmp_path, [h100_host]))
        assert "above 100 %" not in render_html(report)
        host = report.hosts[0]
        assert host.phases[0].limit
        limit = host.phases[0].limit.model_copy(update={"reached": 1.5})
        phases = (host.phases[0].model_copy(update={"limit": limit}), *host.phases[1:])
        above = host.model_copy(update={"phases": phases})
        html = render_html(report.model_copy(update={"hosts": (above,)}))
        assert "A run above 100 %" in html
        # No bar leaves its chart: the track of the limit is shorter instead.
        assert 'class="bar" x="230" y="6" width="520.0"' in html
        assert 'class="track" x="230" y="6" width="346.7"' in html


class TestMarkdown:
    @staticmethod
    def tables(text: str) -> list[list[str]]:
        blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
        return [block.splitlines() for block in blocks]

    @staticmethod
    def cells(row: str) -> int:
        return len(re.findall(r"(?<!\\)\|", row)) - 1

    def test_has_tables_whose_rows_have_as_many_cells_as_their_heads(
        self, complete: FleetReport
    ) -> None:
        tables = self.tables(render_markdown(complete))
        assert len(tables) >= 5
        for rows in tables:
            assert {self.cells(row) for row in rows} == {self.cells(rows[0])}

    @pytest.mark.parametrize("hostile", ["a | b || c", "a\nb", "a\r\nb", "a\rb", "<script>x"])
    def test_keeps_a_hosts_text_in_its_cell(self, fleet: Path, hostile: str) -> None:
        text = render_markdown(noted(fleet, "host-b", "failed", "deploy", hostile))
        (row,) = (line for line in text.splitlines() if line.startswith("| host-b"))
        assert self.cells(row) == self.cells(self.tables(text)[0][0])
        assert "\r" not in row
        assert "<script" not in text
        assert hostile[-1] in row.rsplit("because ", 1)[1]

    def test_shows_the_headline_the_statement_and_every_host(self, complete: FleetReport) -> None:
        text = render_markdown(complete)
        assert complete.headline in text
        assert complete.statement in text
        assert "| host-a | ok | A |" in text


class TestCsv:
    def test_has_a_row_for_each_host(self, fleet: Path) -> None:
        report = build_report(fleet)
        rows = list(csv.DictReader(io.StringIO(render_csv(report))))
        assert [(row["host"], row["verdict"]) for row in rows] == [
            ("host-a", "ok"),
            ("host-b", "ok"),
            ("host-z", "missing"),
        ]
        (offline,) = (s for s in report.scenarios if s.scenario.value == "Offline")
        assert [float(row["offline_tokens_per_second"]) for row in rows[:2]] == [
            entry.tokens_per_second for entry in offline.hosts
        ]
        assert rows[2]["offline_tokens_per_second"] == ""
        assert float(rows[0]["server_ttft_p99_ms"]) > 0

    @pytest.mark.parametrize("start", ["=", "+", "-", "@"])
    def test_quotes_what_a_spreadsheet_takes_for_a_formula(self, fleet: Path, start: str) -> None:
        hostile = f'{start}HYPERLINK("http://x")'
        report = noted(fleet, "host-b", "failed", hostile, hostile)
        rows = list(csv.DictReader(io.StringIO(render_csv(report))))
        assert rows[1]["reason"] == f"'{hostile}"
        assert [value for value in rows[1].values() if value.startswith(start)] == []

    @pytest.mark.parametrize("space", ["\t", "\r\n", "  ", "\x0b"])
    def test_lets_no_space_hide_a_formula(self, fleet: Path, space: str) -> None:
        hostile = f'{space}=HYPERLINK("http://x")'
        report = noted(fleet, "host-b", "failed", hostile, hostile)
        rows = list(csv.DictReader(io.StringIO(render_csv(report))))
        assert rows[1]["reason"] == '\'=HYPERLINK("http://x")'


class TestFiles:
    def test_are_the_same_bytes_from_the_same_folder(self, fleet: Path) -> None:
        write_reports(build_report(fleet), fleet)
        first = snapshot(fleet)
        write_reports(build_report(fleet), fleet)
        assert snapshot(fleet) == first
        assert all(first[name] for name in FILES)

    def test_leave_no_temporary_file(self, fleet: Path) -> None:
        before = {path.name for path in fleet.iterdir()}
        write_reports(build_report(fleet), fleet)
        assert {path.name for path in fleet.iterdir()} - before == set(FILES)


class TestPublish:
    def test_points_latest_at_the_run_and_copies_the_report(
        self, fleet: Path, tmp_path: Path
    ) -> None:
        write_reports(build_report(fleet), fleet)
        for _ in range(2):
            publish(fleet, tmp_path / "reports")
            link = fleet.parent / "latest"
            assert link.is_symlink()
            assert link.readlink() == Path(fleet.name)
            assert snapshot(tmp_path / "reports" / "latest") == {
                "mlperf_report.html": (fleet / "report.html").read_bytes(),
                "mlperf_report.json": (fleet / "report.json").read_bytes(),
            }
            assert {path.name for path in fleet.parent.iterdir()} == {"latest", fleet.name}

    def test_points_latest_at_the_newer_run(
        self, fleet: Path, host_a: HostRun, tmp_path: Path
    ) -> None:
        write_reports(build_report(fleet), fleet)
        publish(fleet, tmp_path / "reports")
        newer = make_run(fleet.parent, [host_a], run_id="run-2")
        write_reports(build_report(newer), newer)
        publish(newer, tmp_path / "reports")
        assert (fleet.parent / "latest").readlink() == Path("run-2")
        published = tmp_path / "reports" / "latest" / "mlperf_report.json"
        assert json.loads(published.read_bytes())["run_id"] == "run-2"

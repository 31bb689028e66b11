"""report.html shows the whole report, needs nothing else, and trusts no text of a host."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.fleet.record import RUN_RECORD
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.page import render_html
from loadfleet_aggregator.report.views.anchor import anchor
from loadfleet_aggregator.verdict import Verdict, VerdictKind

from ..filled import filled_fleet
from ..fleets import changed_host
from ..helpers import HostRun, edit_json, make_run
from .gpu_hosts import gpu_host
from .reading import Page, cells, seen, tables
from .test_markdown import noted

HOSTILE = (
    "<script>alert(1)</script>",
    '"onmouseover="alert(2)" x="',
    "'><img src=x onerror=alert(3)>",
    "\u202egpu-evil\u202c",
    "{{ 7 * 7 }}{% raw %}",
    "gpu-" + "long-" * 60,
    "</style></title></svg><base href=//x>",
)


@pytest.fixture
def complete(host_a: HostRun, host_b: HostRun, tmp_path: Path) -> FleetReport:
    """Two hosts, both ok."""
    return build_report(make_run(tmp_path / "results", [host_a, host_b]))


@pytest.fixture(scope="module")
def hostile(eight: FleetReport) -> FleetReport:
    """Every host, and everything that a host says in its own words, is hostile."""
    others = tuple(f"{text}{number}" for number, text in enumerate(HOSTILE))
    names = dict(zip((host.name for host in eight.hosts), HOSTILE + others, strict=False))
    reason = " ".join(HOSTILE)[:200]
    report = FleetReport.model_validate_json(
        re.sub(
            r'"(gpu-\d)"',
            lambda match: json.dumps(names.get(match[1], match[1])),
            eight.model_dump_json(),
        )
    )
    for host in report.hosts:
        verdict = host.verdict
        if verdict.kind is not VerdictKind.OK:
            verdict = Verdict(kind=verdict.kind, phase=reason, reason=reason, hint=reason)
        report = changed_host(
            report,
            host.name,
            verdict=verdict,
            accelerator=reason,
            facts={reason: reason},
            warnings=(reason,),
            labels=(reason,),
        )
    return report.model_copy(update={"labels": (reason,), "statement": reason})


class TestFile:
    def test_loads_nothing(self, eight: FleetReport) -> None:
        html = render_html(eight)
        page = Page(html)
        assert not {"link", "iframe", "object", "embed", "img", "base"} & set(page.tags)
        loading = {"src", "srcset", "href", "xlink:href", "data", "action", "background"}
        assert [
            value
            for _, name, value in page.attributes
            if name in loading and not value.startswith("#")
        ] == []
        assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
        style = "".join(re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL))
        assert "@import" not in style
        assert "url(" not in style

    def test_its_policy_allows_its_own_script_alone(self, eight: FleetReport) -> None:
        html = render_html(eight)
        (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        (policy,) = [value for value in Page(html).values("content") if "default-src" in value]
        assert policy.startswith("default-src 'none';")
        assert f"script-src 'sha256-{digest}'" in policy
        assert len(script.encode()) < 15_000

    def test_is_the_same_from_the_same_report(self, eight: FleetReport) -> None:
        assert render_html(eight) == render_html(eight.model_copy(deep=True))

    def test_is_below_a_megabyte_for_fifty_hosts(self, h100_report: FleetReport) -> None:
        html = render_html(filled_fleet(h100_report, 50))
        assert len(html.encode()) < 1_000_000
        assert html.count('<details class="host">') == 49  # the other was not selected


class TestShape:
    def test_ids_are_unique_and_links_lead_somewhere(self, eight: FleetReport) -> None:
        page = Page(render_html(eight))
        ids = page.values("id")
        assert len(set(ids)) == len(ids)
        assert {value.removeprefix("#") for value in page.values("href")} <= set(ids)

    def test_a_large_fleets_links_lead_somewhere(self, large: FleetReport) -> None:
        page = Page(render_html(large))
        assert {value.removeprefix("#") for value in page.values("href")} <= set(page.values("id"))

    def test_each_chart_is_labelled_and_followed_by_a_table(self, eight: FleetReport) -> None:
        html = render_html(eight)
        charts = re.findall(r'<svg class="chart"[^>]*>', html)
        named = [chart for chart in charts if 'role="img" aria-label="' in chart]
        assert len(named) > 10
        assert all('aria-hidden="true"' in chart for chart in charts if chart not in named)
        for section in re.findall(r"<section id.*?</section>", html, flags=re.DOTALL):
            if 'role="img"' in section:
                assert "<table" in section[section.rindex('role="img"') :]

    def test_every_table_has_heads_with_a_scope(self, eight: FleetReport) -> None:
        html = render_html(eight)
        assert re.findall(r"<th(?![^>]*scope=)[ >]", html) == []
        assert html.count("<table") == html.count("<caption")

    def test_verdict_number_worst_host_and_cause_come_first(self, eight: FleetReport) -> None:
        head = seen(render_html(eight).partition("<main")[0] + "</body></html>")
        for words in (
            "Fail",
            "4 of 7 hosts ok",
            f"{eight.scenarios[0].aggregate_tokens_per_second:,.1f}",
            "gpu-5",
            "out of GPU memory",
            "thermal throttling",
            eight.statement,
        ):
            assert words in head

    def test_labels_stand_next_to_the_number(self, eight: FleetReport) -> None:
        labels = ("short", "synthetic-dataset")
        html = render_html(eight.model_copy(update={"labels": labels}))
        card = html.partition('id="q-fast"')[2].partition("</section>")[0]
        assert "Not MLPerf:" in card
        assert all(label in card for label in labels)


class TestContent:
    def test_shows_loadgens_numbers(self, complete: FleetReport) -> None:
        html = render_html(complete)
        for scenario in complete.scenarios:
            for entry in scenario.hosts:
                assert f"{entry.tokens_per_second:,.2f}" in html

    def test_shows_the_statement_the_labels_and_every_host(self, complete: FleetReport) -> None:
        text = seen(render_html(complete))
        assert complete.statement in text
        for word in (*complete.labels, "host-a", "host-b", *complete.definitions):
            assert word in text

    def test_shows_a_host_without_any_number(self, fleet: Path) -> None:
        report = noted(fleet, "host-b", "unreachable", "inspect", "Connection refused")
        text = seen(render_html(report))
        assert "Connection refused" in text
        assert "not selected for this run" in text

    def test_shows_a_host_with_one_scenario_alone(self, host_c: HostRun, tmp_path: Path) -> None:
        text = seen(render_html(build_report(make_run(tmp_path, [host_c]))))
        assert "Offline whole answer" in text
        assert "Server" not in text.partition("Definitions")[0].partition("Rates")[0]

    def test_has_a_column_for_each_scenario_that_was_run(self, complete: FleetReport) -> None:
        host = complete.hosts[0]
        (server,) = (p for p in host.phases if p.name == "server-performance")
        change = {"scenario": Scenario.SINGLE_STREAM, "name": "singlestream-performance"}
        others = tuple(phase for phase in host.phases if phase is not server)
        edge = host.model_copy(update={"phases": (*others, server.model_copy(update=change))})
        html = seen(render_html(complete.model_copy(update={"hosts": (edge, complete.hosts[1])})))
        for heading in ("Offline tokens/s", "Server tokens/s", "SingleStream p90 ms"):
            assert heading in html
        assert "Interactive tokens/s" not in html

    def test_shows_a_run_of_which_nothing_came(self, tmp_path: Path) -> None:
        report = build_report(make_run(tmp_path, [], inventory=["host-z"]))
        text = seen(render_html(report))
        assert "No performance run was completed." in text
        assert text.lstrip().startswith("Fail")

    def test_has_a_column_for_troubles_only_where_there_are_any(
        self, eight: FleetReport, h100_report: FleetReport
    ) -> None:
        assert "what is the matter" in seen(render_html(eight))
        assert "what is the matter" not in seen(render_html(filled_fleet(h100_report, 2)))

    def test_says_so_where_sections_are_compact(self, large: FleetReport) -> None:
        text = seen(render_html(large))
        assert "Sections of hosts that want a look are full; those of the other 114" in text
        assert "The other 114 hosts" in text


class TestUntrusted:
    def test_no_text_becomes_a_tag_or_an_attribute(self, hostile: FleetReport) -> None:
        html = render_html(hostile)
        page = Page(html)
        assert page.tags.count("script") == 1
        assert not {"img", "base"} & set(page.tags)
        assert [name for _, name, _ in page.attributes if name.startswith("on")] == []

    def test_every_name_is_shown_as_it_is(self, hostile: FleetReport) -> None:
        text = seen(render_html(hostile))
        assert all(host.name in text for host in hostile.hosts if host.name.isprintable())

    def test_a_name_turns_no_text_around(self, hostile: FleetReport) -> None:
        for text in (render_html(hostile), render_markdown(hostile)):
            assert "\u202e" not in text
            assert "\\u202egpu-evil" in text

    def test_every_host_has_an_id_of_its_own(self, hostile: FleetReport) -> None:
        ids = Page(render_html(hostile)).values("id")
        shown = [host.name for host in hostile.hosts if host.group is not None]
        assert {anchor(name) for name in shown} <= set(ids)
        assert len(set(ids)) == len(ids)

    def test_markdown_stays_in_its_cells(self, hostile: FleetReport) -> None:
        text = render_markdown(hostile)
        for rows in tables(text):
            assert {cells(row) for row in rows} == {cells(rows[0])}
        assert "<script" not in text
        assert "<img" not in text


class TestGpus:
    """What only runs on GPUs have."""

    HEADS = ("How far from the physical limit", "Energy", "Energy and cost")

    @staticmethod
    def sections(report: FleetReport) -> list[str]:
        """Of both renderings, which have the same."""
        html = re.findall(r"<h3>(.*?)</h3>", render_html(report))
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

    def test_say_why_a_number_is_missing_and_trust_no_host(self, mixed: Path) -> None:
        report = build_report(mixed)
        text = seen(render_html(report))
        for words in (
            "no limit is known: the peaks of Quadro <P400> are not in the table of GPUs",
            "not known: GPU 0: a | hole",
        ):
            assert text.count(words) == 2
        markdown = render_markdown(report)
        assert "not known: GPU 0: a \\| hole |" in markdown
        for rows in tables(markdown):
            assert {cells(row) for row in rows} == {cells(rows[0])}

    def test_name_the_hosts_of_each_price(self, mixed: Path) -> None:
        edit_json(
            mixed / RUN_RECORD,
            lambda record: record["hosts"]["gpu-01"].update(prices={"per_gpu_hour": 4}),
        )
        text = render_markdown(build_report(mixed, Prices(per_kwh=0.3)))
        assert "Prices: 4 per GPU-hour and 0.3 per kWh on gpu-01; 0.3 per kWh on gpu-02." in text

    def test_call_a_run_above_its_limit_what_it_is(self, h100_report: FleetReport) -> None:
        assert "above 100 %" not in render_html(h100_report)
        (host,) = h100_report.hosts
        assert host.phases[0].limit
        limit = host.phases[0].limit.model_copy(update={"reached": 1.5})
        phases = (host.phases[0].model_copy(update={"limit": limit}), *host.phases[1:])
        report = changed_host(h100_report, host.name, phases=phases)
        for text in (render_html(report), render_markdown(report)):
            assert "A run above 100 %" in text

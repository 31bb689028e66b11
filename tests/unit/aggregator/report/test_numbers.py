"""HTML, Markdown, CSV and JSON say the same numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.page import render_html
from loadfleet_aggregator.report.table import render_csv

from ..helpers import HostRun, make_run
from .reading import seen


def ms(nanoseconds: float) -> str:
    value = nanoseconds / 1e6
    return f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def fleet_numbers(report: dict[str, Any]) -> Iterator[str]:
    """As people read them, from the JSON alone."""
    for scenario in report["scenarios"]:
        joint = scenario["joint"]
        yield f"{scenario['aggregate_tokens_per_second']:,.2f}"
        yield f"{scenario['aggregate_samples_per_second']:,.3f}"
        yield f"{joint['tokens_per_second']:,.2f}"
        yield f"{joint['makespan_tokens_per_second']:,.2f}"
        yield f"{joint['start_skew_s'] * 1e3:,.1f} ms"
        yield f"{joint['imbalance'] * 100:.1f} %"
        for host in scenario["hosts"]:
            yield f"{host['tokens_per_second']:,.2f}"
            yield f"{host['of_best'] * 100:.1f} %"
    for pooled in report["pooled_accuracy"]:
        for metric, margin in pooled["margins"].items():
            yield f"{pooled['score'][metric]:,.4f}"
            yield f"{margin:+.4f}"
    for agreement in report["agreement"]:
        yield f"{agreement['identical'] * 100:.2f} %"
        for host in agreement["hosts"]:
            yield f"{host['identical'] * 100:.2f} %"
    for flag in report["flags"]:
        yield f"{flag['gap'] * 100:+.1f} %"
        yield f"{flag['z']:.1f}"


def host_numbers(report: dict[str, Any]) -> Iterator[str]:
    for host in report["hosts"]:
        if host["clock_offset_s"] is not None and host["phases"]:
            yield f"{host['clock_offset_s'] * 1e3:+,.1f} ms"
        for item in host["accuracy"]:
            yield f"{item['score']['rougeL']:,.4f}"
        for phase in host["phases"]:
            yield f"{phase['input_tokens']['mean']:,.1f}"
            yield f"{phase['output_tokens']['p99']:,.0f}"
            for name in ("latency", "ttft", "tpot"):
                if phase[name]:
                    for percentile in ("50.00", "90.00", "99.00", "99.90"):
                        yield ms(phase[name]["percentiles"][percentile])
            for curve in phase["curves"]:
                yield ms(curve["p99_bound_ns"])
                if curve["over_limit"] is not None:
                    yield f"{curve['over_limit'] * 100:.2f} %"
            yield f"{phase['limit']['reached'] * 100:.1f} %"
            yield f"{phase['limit']['limit_tokens_per_second']:,.1f}"
            yield f"{phase['energy']['joules']:,.0f}"
            yield f"{phase['energy']['joules_per_output_token']:.3f}"
            yield f"{phase['cost']['total']:.3g}"


def test_page_and_markdown_say_what_the_json_says(eight: FleetReport) -> None:
    report = json.loads(eight.model_dump_json())
    numbers = {*fleet_numbers(report), *host_numbers(report)}
    assert len(numbers) > 120
    for text in (seen(render_html(eight)), render_markdown(eight)):
        assert {number for number in numbers if number not in text} == set()


def test_a_large_fleets_sums_are_those_of_the_json(large: FleetReport) -> None:
    report = json.loads(large.model_dump_json())
    for scenario in report["scenarios"]:
        scenario["hosts"] = []
    for agreement in report["agreement"]:
        agreement["hosts"] = agreement["hosts"][:1]
    for text in (seen(render_html(large)), render_markdown(large)):
        assert {number for number in fleet_numbers(report) if number not in text} == set()


def test_the_table_says_what_the_json_says(eight: FleetReport) -> None:
    report = json.loads(eight.model_dump_json())
    rows = {row["host"]: row for row in csv.DictReader(io.StringIO(render_csv(eight)))}
    checked = 0
    for host in report["hosts"]:
        row = rows[host["name"]]
        for phase in host["phases"]:
            prefix = phase["scenario"].lower()
            assert float(row[f"{prefix}_tokens_per_second"]) == phase["tokens_per_second"]
            curves = {curve["metric"]: curve for curve in phase["curves"]}
            for metric in ("ttft", "tpot"):
                if phase[metric]:
                    p99 = phase[metric]["percentiles"]["99.00"] / 1e6
                    bound = curves[metric]["p99_bound_ns"] / 1e6
                    assert float(row[f"{prefix}_{metric}_p99_ms"]) == pytest.approx(p99, abs=1e-3)
                    assert float(row[f"{prefix}_{metric}_p99_bound_ms"]) == pytest.approx(
                        bound, abs=1e-3
                    )
                    checked += 1
        for item in host["accuracy"]:
            assert float(row["rougeLsum"]) == item["score"]["rougeLsum"]
    assert checked == 10


def test_a_real_hosts_gpu_figures_are_those_of_the_json(tmp_path: Path, h100_host: HostRun) -> None:
    built = build_report(make_run(tmp_path, [h100_host]), Prices(per_gpu_hour=2.5, per_kwh=0.3))
    (host,) = json.loads(built.model_dump_json())["hosts"]
    for text in (render_html(built), render_markdown(built)):
        for phase in host["phases"]:
            assert f"{phase['limit']['limit_tokens_per_second']:,.1f}" in text
            assert f"{phase['energy']['tokens_per_second_per_watt']:.3f}" in text
        assert "36\N{EN DASH}54 %" in text

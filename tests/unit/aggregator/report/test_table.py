"""hosts.csv has a row for each host, and no formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.table import render_csv

from ..fleets import changed_host
from .test_markdown import noted


def rows_of(report: FleetReport) -> dict[str, dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert len({row["host"] for row in rows}) == len(rows)
    return {row["host"]: row for row in rows}


def test_has_a_row_for_each_host(fleet: Path) -> None:
    report = build_report(fleet)
    rows = rows_of(report)
    assert [(name, row["verdict"]) for name, row in rows.items()] == [
        ("host-a", "ok"),
        ("host-b", "ok"),
        ("host-z", "missing"),
    ]
    (offline,) = (s for s in report.scenarios if s.scenario.value == "Offline")
    told = [float(rows[name]["offline_tokens_per_second"]) for name in ("host-a", "host-b")]
    assert told == [entry.tokens_per_second for entry in offline.hosts]
    assert rows["host-z"]["offline_tokens_per_second"] == ""
    assert float(rows["host-a"]["server_ttft_p99_ms"]) > 0


def test_tells_flags_clocks_and_agreement(eight: FleetReport) -> None:
    rows = rows_of(changed_host(eight, "gpu-3", clock_offset_s=-0.0042))
    slow = rows["gpu-3"]
    assert (slow["flag"], slow["flag_gap"]) == ("straggler", "0.07")
    assert slow["causes"] == "thermal throttling; low clocks"
    assert (slow["clock_offset_ms"], slow["clock_error_ms"]) == ("-4.2", "0.6")
    assert rows["gpu-7"]["answers_identical"] == "0.9891"
    assert rows["gpu-1"]["accuracy_passed"] == "yes"
    assert (rows["gpu-5"]["flag"], rows["gpu-5"]["accuracy_passed"]) == ("", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_quotes_what_a_spreadsheet_takes_for_a_formula(fleet: Path, start: str) -> None:
    hostile = f'{start}HYPERLINK("http://x")'
    report = noted(fleet, "host-b", "failed", hostile, hostile)
    report = changed_host(report, "host-b", labels=(hostile,), accelerator=hostile)
    row = rows_of(report)["host-b"]
    assert row["reason"] == f"'{hostile}"
    assert [value for value in row.values() if value.startswith(start)] == []


@pytest.mark.parametrize("space", ["\t", "\r\n", "  ", "\x0b"])
def test_lets_no_space_hide_a_formula(fleet: Path, space: str) -> None:
    hostile = f'{space}=HYPERLINK("http://x")'
    row = rows_of(noted(fleet, "host-b", "failed", hostile, hostile))["host-b"]
    assert row["reason"] == '\'=HYPERLINK("http://x")'

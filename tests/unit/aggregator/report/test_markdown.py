"""report.md shows the report in tables that no text of a host breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport

from ..helpers import HostRun, make_note, make_run
from .reading import cells, tables


def noted(folder: Path, host: str, state: str, step: str, message: str) -> FleetReport:
    """The report where the controller saw this of a host of which nothing was collected."""
    (folder / HOSTS / host).rename(folder / "away")
    (folder / CONTROLLER).mkdir()
    note = make_note(host, state, step, message)
    path = folder / CONTROLLER / f"{host}.json"
    path.write_text(note.model_dump_json(), encoding="utf-8")
    return build_report(folder)


@pytest.mark.parametrize("hosts", ["eight", "large"])
def test_rows_have_as_many_cells_as_their_heads(hosts: str, request: pytest.FixtureRequest) -> None:
    found = tables(render_markdown(request.getfixturevalue(hosts)))
    assert len(found) >= 12
    for rows in found:
        assert {cells(row) for row in rows} == {cells(rows[0])}


@pytest.mark.parametrize("hostile", ["a | b || c", "a\nb", "a\r\nb", "a\rb", "<script>x"])
def test_a_hosts_text_stays_in_its_cell(fleet: Path, hostile: str) -> None:
    text = render_markdown(noted(fleet, "host-b", "failed", "deploy", hostile))
    (rows,) = (rows for rows in tables(text) if rows[0].startswith("| host | verdict"))
    (row,) = (row for row in rows if row.startswith("| host-b"))
    assert cells(row) == cells(rows[0])
    assert "\r" not in row
    assert "<script" not in text
    assert hostile[-1] in row.rsplit("because ", 1)[1]


def test_shows_the_headline_the_statement_and_every_host(
    host_a: HostRun, host_b: HostRun, tmp_path: Path
) -> None:
    report = build_report(make_run(tmp_path / "results", [host_a, host_b]))
    text = render_markdown(report)
    assert report.headline in text
    assert report.statement in text
    assert "**Pass: 2 of 2 hosts ok**" in text
    assert "| host-a | ok | A |" in text


def test_the_worst_host_comes_first(eight: FleetReport) -> None:
    (rows,) = (
        rows for rows in tables(render_markdown(eight)) if rows[0].startswith("| host | verdict")
    )
    assert rows[2].startswith("| gpu-5 | failed at load because out of GPU memory")

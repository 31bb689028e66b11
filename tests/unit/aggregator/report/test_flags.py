"""A host that wants a look is in the headline, the page and the Markdown, with its cause."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.run_folder import TELEMETRY
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.markdown import render_markdown
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.page import render_html

from ..helpers import HostRun, reseal
from ..submission.official_runs import STARTED, collect
from .gpu_hosts import gpu_host

HOSTS = tuple(f"gpu-{index}" for index in range(5))
HOT = "gpu-3"


def write_telemetry(run: HostRun, *, throttled: bool) -> None:
    """A sample every ten seconds over the two hours that the saved runs are said to have taken."""
    reasons = 0x20 if throttled else 0x4
    lines = [
        json.dumps({
            "at_utc": (STARTED + timedelta(seconds=second)).isoformat(),
            "cpu_percent": 3.0,
            "memory_used_mib": 5000,
            "gpus": [{"throttle_reasons": reasons, "sm_clock_mhz": 1400, "power_w": 650}],
        })
        for second in range(-10, 7300, 10)
    ]  # fmt: skip
    (run.folder / TELEMETRY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    reseal(run.folder)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    folder = tmp_path_factory.mktemp("flags")
    runs = [gpu_host(folder / "made" / name, name) for name in HOSTS]
    for run in runs:
        write_telemetry(run, throttled=run.plan.host == HOT)
    return build_report(collect(folder / "results", runs))


def test_the_hot_host_alone_is_flagged(report: FleetReport) -> None:
    (flag,) = report.flags
    assert (flag.host, flag.kind) == (HOT, "fault")
    assert [reason.cause for reason in flag.reasons] == ["thermal throttling"]
    assert flag.gap == 0.0


def test_the_headline_names_it(report: FleetReport) -> None:
    assert report.headline.endswith(f"; worst: {HOT}, thermal throttling")


def test_page_and_markdown_tell_the_same(report: FleetReport) -> None:
    page, text = render_html(report), render_markdown(report)
    for rendering in (page, text):
        assert "Hosts to look at" in rendering
        assert "look at fans, air flow and the inlet temperature" in rendering
        assert "thermal slowdown share" in rendering


def test_sensors_of_each_run_are_in_the_report(report: FleetReport) -> None:
    for host in report.hosts:
        for phase in host.phases:
            assert phase.telemetry is not None
            (gpu,) = phase.telemetry.gpus
            reason = "software thermal slowdown" if host.name == HOT else "software power cap"
            assert gpu.throttled == {reason: 1.0}


def test_a_changed_folder_tells_no_sensors(tmp_path: Path) -> None:
    run = gpu_host(tmp_path / "made", "gpu-0")
    write_telemetry(run, throttled=True)
    (run.folder / TELEMETRY).write_text("", encoding="utf-8")
    report = build_report(collect(tmp_path / "results", [run]))
    assert report.flags == ()
    assert report.hosts[0].verdict.phase == "collect"

"""report.json, report.html, report.md and hosts.csv from one report, and where they are put."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from loadfleet_agent.contract.files import write_atomic, write_model

from ..fleet.record import LATEST
from .markdown import render_markdown
from .model import REPORT_FILE, FleetReport
from .page import render_html
from .table import render_csv


def write_reports(report: FleetReport, folder: Path) -> None:
    """Writes the four files into a run's folder."""
    write_model(folder / REPORT_FILE, report)
    write_atomic(folder / "report.html", render_html(report))
    write_atomic(folder / "report.md", render_markdown(report))
    write_atomic(folder / "hosts.csv", render_csv(report))


def publish(folder: Path, reports: Path) -> None:
    """Points results/latest at the run and copies its report to ``reports``/latest."""
    link = folder.parent / LATEST
    temporary = link.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)
    newest = reports / LATEST
    newest.mkdir(parents=True, exist_ok=True)
    for name in (REPORT_FILE, "report.html"):
        copy = newest / f".mlperf_{name}.tmp"
        shutil.copyfile(folder / name, copy)
        copy.replace(newest / f"mlperf_{name}")

"""report.json, report.html, report.md and hosts.csv from one report, and where they are put;
of a run with evaluations their own mmlu_report.json too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from loadfleet_agent.contract.files import write_atomic, write_model

from ..evaluation.model import EvaluationReport
from ..fleet.record import LATEST
from .definitions import OF_EVALUATIONS
from .markdown import render_markdown
from .model import REPORT_FILE, FleetReport
from .page import render_html
from .table import render_csv

EVALUATION_REPORT = "mmlu_report.json"


def write_reports(report: FleetReport, folder: Path) -> None:
    """Writes the four files into a run's folder."""
    write_model(folder / REPORT_FILE, report)
    write_atomic(folder / "report.html", render_html(report))
    write_atomic(folder / "report.md", render_markdown(report))
    write_atomic(folder / "hosts.csv", render_csv(report))
    if report.evaluations:
        write_model(folder / EVALUATION_REPORT, evaluation_report(report))
    else:
        (folder / EVALUATION_REPORT).unlink(missing_ok=True)


def evaluation_report(report: FleetReport) -> EvaluationReport:
    """The evaluations of a report by themselves."""
    return EvaluationReport(
        run_id=report.run_id,
        created_utc=report.created_utc,
        evaluations=report.evaluations,
        definitions=OF_EVALUATIONS,
    )


def publish(folder: Path, reports: Path) -> None:
    """Points results/latest at the run and copies its report to ``reports``/latest."""
    link = folder.parent / LATEST
    temporary = link.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)
    newest = reports / LATEST
    newest.mkdir(parents=True, exist_ok=True)
    copies = {"mlperf_report.json": REPORT_FILE, "mlperf_report.html": "report.html"}
    # The one page has both; of a run without evaluations none of an earlier one may stay.
    evaluated = {EVALUATION_REPORT: EVALUATION_REPORT, "mmlu_report.html": "report.html"}
    if (folder / EVALUATION_REPORT).is_file():
        copies |= evaluated
    else:
        for name in evaluated:
            (newest / name).unlink(missing_ok=True)
    for name, source in copies.items():
        copy = newest / f".{name}.tmp"
        shutil.copyfile(folder / source, copy)
        copy.replace(newest / name)

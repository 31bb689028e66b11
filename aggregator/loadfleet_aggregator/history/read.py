"""The reports of all runs below a folder."""

from __future__ import annotations

from pathlib import Path

from ..fleet.record import RUN_RECORD
from ..report.model import REPORT_FILE, FleetReport
from ..report.read import ReportUnreadable, read_report_file
from ..scaling.record import is_study
from .model import SkippedRun


def read_reports(results: Path) -> tuple[list[FleetReport], list[SkippedRun]]:
    """The report of each run, the oldest run first, and the runs that have none to be read.

    A folder is a run's if it has a record or a report; a study of several runs is none. A link
    (``latest``) is not followed.
    Raises ReportUnreadable where ``results`` is no folder or has no run.
    """
    try:
        folders = [
            path
            for path in sorted(results.iterdir())
            if not path.is_symlink()
            and path.is_dir()
            and not is_study(path)
            and any((path / name).is_file() for name in (RUN_RECORD, REPORT_FILE))
        ]
    except OSError as error:
        raise ReportUnreadable(
            f"{results}: {error.strerror}: give the folder that has the runs, as results/"
        ) from error
    if not folders:
        raise ReportUnreadable(
            f"{results}: no folder in it is a run's: give the folder that has the runs, as results/"
        )
    reports, skipped = [], []
    for folder in folders:
        if not (folder / REPORT_FILE).is_file():
            reason = f"it has no {REPORT_FILE}: make it with loadfleet report {folder}"
            skipped.append(SkippedRun(folder=folder.name, reason=reason))
            continue
        try:
            reports.append(read_report_file(folder / REPORT_FILE))
        except ReportUnreadable as error:
            skipped.append(SkippedRun(folder=folder.name, reason=str(error)))
    return sorted(reports, key=lambda report: (report.created_utc, report.run_id)), skipped

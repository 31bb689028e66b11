"""A report from where a user points: a run's folder, or a report.json."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..fleet.record import RUN_RECORD
from ..fleet.settings import InventoryError
from .build import build_report
from .model import REPORT_FILE, FleetReport


class ReportUnreadable(Exception):
    """One line: what, where, what to do."""


def open_report(path: Path) -> FleetReport:
    """Of a run's folder: built anew from the collected files; of a file: as it was written.

    Raises ReportUnreadable.
    """
    if path.is_dir():
        try:
            return build_report(path.resolve())
        except (InventoryError, OSError) as error:
            raise ReportUnreadable(
                f"{error}: give a run's folder, which has a {RUN_RECORD}, or a {REPORT_FILE}"
            ) from error
    return read_report_file(path)


def read_report_file(path: Path) -> FleetReport:
    """A report.json. Raises ReportUnreadable."""
    try:
        return FleetReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportUnreadable(
            f"{path}: {error.strerror}: give a run's folder under results/ or a {REPORT_FILE}"
        ) from error
    except ValidationError as error:
        raise ReportUnreadable(
            f"{path}: not a report of this version: make it anew from the collected files with "
            f"loadfleet report {path.parent}"
        ) from error

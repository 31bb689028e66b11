"""A report from where a user points: a run's folder, or a report.json."""

from __future__ import annotations

from pathlib import Path

from loadfleet_agent.contract.files import read_plain
from pydantic import ValidationError

from ..fleet.record import RUN_RECORD
from ..fleet.settings import InventoryError
from ..text.listing import shortened
from .build import build_report
from .model import REPORT_FILE, FleetReport

MAX_BYTES = 1 << 30


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
        return FleetReport.model_validate_json(_read(path))
    except OSError as error:
        raise ReportUnreadable(
            f"{path}: {error.strerror}: give a run's folder under results/ or a {REPORT_FILE}"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        why = shortened(f"{where}: {first['msg']}" if where else first["msg"])
        raise ReportUnreadable(
            f"{path}: not a report of this version ({why}): make it anew from the collected files "
            f"with loadfleet report {path.parent}"
        ) from error


def _read(path: Path) -> bytes:
    """A report of 10,000 hosts has half of this. Links are followed: the user gave the path."""
    return read_plain(path.resolve(), MAX_BYTES)

"""What happens on the controller after the hosts: unpack, note, report, publish."""

from __future__ import annotations

from pathlib import Path

from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.files import write_model

from .bundle import BundleError, unpack
from .fleet.record import (
    CONTROLLER,
    HOSTS,
    ControllerNote,
    read_record,
    write_record,
)
from .report.build import build_report, with_finished
from .report.model import FleetReport
from .report.render import publish, write_reports
from .text.listing import shortened
from .text.terminal import printable

ARCHIVES = "archives"
MOST_LETTERS = 600
"""Of what a host or its module said."""


def note_host(folder: Path, host: str, seen: tuple[str, str, str]) -> None:
    """Keeps state, step and message as the controller saw them, and unpacks a fetched archive.

    The archive is deleted once it is unpacked; a damaged one is noted and leaves an earlier
    collection as it was.
    """
    state, step, message = seen
    archive = folder / ARCHIVES / f"{host}.tar.gz"
    if archive.is_file():
        try:
            unpack(archive, folder / HOSTS / host)
            archive.unlink()
        except BundleError as error:
            if state == "collected":
                state, step, message = "failed", "collect", str(error)
    note = ControllerNote(
        host=host,
        state=state,
        step=step,
        message=shortened(printable(message), MOST_LETTERS),
        noted_utc=utc_now(),
    )
    (folder / CONTROLLER).mkdir(parents=True, exist_ok=True)
    write_model(folder / CONTROLLER / f"{host}.json", note)


def publish_run(folder: Path, reports: Path) -> FleetReport:
    """Builds and writes the report, closes the run if all is finished, points latest at it."""
    report = build_report(folder)
    write_reports(report, folder)
    write_record(folder, with_finished(read_record(folder), report))
    publish(folder, reports)
    return report

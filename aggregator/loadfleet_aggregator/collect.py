"""What happens on the controller after the hosts: unpack, note, report, publish."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.files import private_folder, write_model
from pydantic import ValidationError

from .bundle import BundleError, unpack
from .fleet.record import (
    ARCHIVES,
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

MOST_LETTERS = 600
"""Of what a host or its module said."""


@dataclass(frozen=True)
class SeenClock:
    """A host's clock less the controller's, in seconds, and most that this may be wrong by."""

    offset_s: float
    error_s: float
    while_running: bool
    """Measured as the run went on, and not when it was over."""


def note_host(
    folder: Path,
    host: str,
    seen: tuple[str, str, str],
    clock: SeenClock | None = None,
    attempt: str = "",
) -> None:
    """Keeps state, step, message and clock as the controller saw them, and unpacks a fetched
    archive.

    The archive is that of the ``attempt``, if one is named. It is deleted once it is unpacked; a
    damaged one is noted and leaves an earlier collection as it was.
    """
    state, step, message = seen
    archive = folder / ARCHIVES / f"{host}{attempt and '.'}{attempt}.tar.gz"
    if archive.is_file():
        try:
            unpack(archive, folder / HOSTS / host)
            archive.unlink()
        except BundleError as error:
            if state == "collected":
                state, step, message = "failed", "collect", str(error)
    path = folder / CONTROLLER / f"{host}.json"
    offset_s, error_s = _clock(path, clock)
    note = ControllerNote(
        host=host,
        state=state,
        step=step,
        message=shortened(printable(message), MOST_LETTERS),
        noted_utc=utc_now(),
        clock_offset_s=offset_s,
        clock_error_s=error_s,
    )
    private_folder(path.parent)
    write_model(path, note)


def _clock(note: Path, clock: SeenClock | None) -> tuple[float | None, float | None]:
    """What counts is the clock while the host ran, and not that of a later day."""
    try:
        before = ControllerNote.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        before = None
    known = before is not None and before.clock_offset_s is not None
    if before is not None and known and not (clock and clock.while_running):
        return before.clock_offset_s, before.clock_error_s
    return (clock.offset_s, clock.error_s) if clock is not None else (None, None)


def report_on(folder: Path) -> FleetReport:
    """Builds and writes the report, and closes the run if all is finished."""
    report = build_report(folder)
    write_reports(report, folder)
    write_record(folder, with_finished(read_record(folder), report))
    return report


def publish_run(folder: Path, reports: Path) -> FleetReport:
    """The same, and points latest at it."""
    report = report_on(folder)
    publish(folder, reports)
    return report

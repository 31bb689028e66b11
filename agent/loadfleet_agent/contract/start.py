"""StartSignal: what tells a host that waits at a barrier when to start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from .base import Document, UtcTime
from .run_folder import STARTS


class StartSignal(Document):
    """starts/<phase>.json: written by ``loadfleet-agent go``, removed as its barrier is reached."""

    phase: str
    at_utc: UtcTime = Field(description="by the host's own clock")
    told_utc: UtcTime


def start_signal_path(folder: Path, phase: str) -> Path:
    """Of a phase, in its run's folder."""
    return folder / STARTS / f"{phase}.json"

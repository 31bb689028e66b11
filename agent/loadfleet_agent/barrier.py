"""Waiting at a barrier until ``loadfleet-agent go`` tells when to start, and telling it.

Signal and answer are files: ``go`` reads in status.json that the host waits, and writes the
moment into the run's folder, where the run looks for it. So it works alike from a shell, over SSH
and into a container.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from .contract.base import utc_now
from .contract.files import write_model
from .contract.start import StartSignal, start_signal_path
from .contract.status import FailureCode
from .failure import RunFailure
from .runs import RunView

POLL_S = 0.1
PREPARE_S = 3.0
"""So long before the moment the wait ends: LoadGen's settings and folder are made ready then."""
MOST_AHEAD_S = 3600.0
"""A moment farther off is a mistake: the GPU would be held for nothing."""


def clear_start(folder: Path, phase: str) -> None:
    """Removes what was told an earlier attempt; to be done before it is known that one waits."""
    path = start_signal_path(folder, phase)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)


def await_start(
    folder: Path, phase: str, limit_s: float, require_alive: Callable[[], None]
) -> datetime:
    """The moment at which to start, returned some seconds before it.

    Raises RunFailure (barrier-timeout) if none was told in ``limit_s``, and what
    ``require_alive`` raises, which is asked all the time.
    """
    path = start_signal_path(folder, phase)
    deadline = time.monotonic() + limit_s
    while True:
        signal = _read(path)
        if signal is not None and (signal.at_utc - utc_now()).total_seconds() <= PREPARE_S:
            return signal.at_utc
        if signal is None and time.monotonic() > deadline:
            raise RunFailure(
                FailureCode.BARRIER_TIMEOUT,
                f"ready for {phase}, and no start was told in {limit_s:.0f} s",
            )
        require_alive()
        time.sleep(POLL_S)


def tell_start(view: RunView, phase: str | None, at: datetime | None) -> StartSignal:
    """Tells a run that waits when to start; told again, the later word counts.

    ``phase``: default the one that waits; ``at``: default at once. Raises RunFailure
    (not-waiting), or ValueError for a moment that cannot be meant.
    """
    status = view.status
    run_id = view.folder.name
    if status is None or not view.alive or status.state.ended or status.barrier is None:
        what = "is not there yet" if status is None else f"is {status.state.value}"
        if status is not None and view.alive and not status.state.ended:
            what = f"is in {status.phase}"
        elif view.interrupted:
            what = "was broken off"
        raise RunFailure(FailureCode.NOT_WAITING, f"run {run_id} {what} and does not wait")
    if phase is not None and phase != status.barrier:
        raise RunFailure(
            FailureCode.NOT_WAITING, f"run {run_id} waits to start {status.barrier}, not {phase}"
        )
    now = utc_now()
    moment = now if at is None else at
    if moment < now:
        raise ValueError(f"{moment.isoformat()} is in the past: here it is {now.isoformat()}")
    if (moment - now).total_seconds() > MOST_AHEAD_S:
        raise ValueError(f"{moment.isoformat()} is more than an hour ahead of {now.isoformat()}")
    signal = StartSignal(phase=status.barrier, at_utc=moment, told_utc=now)
    write_model(start_signal_path(view.folder, status.barrier), signal)
    return signal


def _read(path: Path) -> StartSignal | None:
    try:
        return StartSignal.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

"""Sends a host off from its barriers, at the moment that all hosts agree on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.base import utc_now

from .clock import ClockReading
from .common_start import HostStart, Rendezvous, note_start

STEP_S = 0.1
AGAIN_S = 1.0
"""Between tries of a command that failed: a lost link, a busy host."""
LATE = "ready only after the others had started"

Go = Callable[[str, datetime | None], str]
"""Tells the host's agent to start a phase at a moment of the host's clock, or at once; '' or why
it could not be told."""


class SendOff:
    """Of one host, in the process that watches it."""

    def __init__(self, rendezvous: Rendezvous, folder: Path, host: str, go: Go) -> None:
        """``folder``: the run's on the controller, which keeps what was told."""
        self._rendezvous, self._folder, self._host, self._go = rendezvous, folder, host, go
        self._barrier: str | None = None
        self._told: set[str] = set()
        self._offset_s = 0.0
        self._again_s = float("-inf")
        self._failure = ""

    def see(self, status: Mapping[str, Any], clock: ClockReading | None) -> None:
        """What a look at the host told: its status.json, {} while there is none."""
        barrier, ahead = status.get("barrier"), status.get("barriers_ahead")
        self._barrier = barrier if isinstance(barrier, str) else None
        if clock is not None:
            self._offset_s = clock.offset_s
        self._rendezvous.tell(
            self._barrier,
            [str(name) for name in ahead] if isinstance(ahead, list) else None,
            clock.round_trip_s if clock is not None else 0.0,
        )

    def pause(self, seconds: float, still_wanted: Callable[[], None]) -> None:
        """Until the next look; meanwhile the host is sent off if it is time.

        ``still_wanted`` is called all the time, and ends this process if the playbook is gone.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            still_wanted()
            if self._barrier is not None and self._barrier not in self._told:
                self._try(self._barrier)
            time.sleep(min(left, STEP_S))

    def leave(self, why: str) -> None:
        """The host's run has ended."""
        self._rendezvous.leave(why)
        self._rendezvous.close()

    def _try(self, phase: str) -> None:
        if time.monotonic() < self._again_s or (start := self._rendezvous.decided(phase)) is None:
            return
        reason = "" if self._host in start.hosts else LATE
        if not reason and utc_now() >= start.at_utc:
            reason = f"not told in time: {self._failure or 'the moment had passed'}"
        common = start.at_utc if not reason else None
        # Before it is told: what is told but not noted would look like a start by itself.
        note_start(
            self._folder, HostStart(host=self._host, phase=phase, at_utc=common, reason=reason)
        )
        at = None if common is None else common + timedelta(seconds=self._offset_s)
        self._failure = self._go(phase, at)
        if self._failure:
            self._again_s = time.monotonic() + AGAIN_S
        else:
            self._told.add(phase)

"""Clocks of hosts, held against the moments between which the controller knows a run to lie."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

TOLERANCE_S = 60.0
"""That nobody needs to look at."""


class Timed(Protocol):
    @property
    def started_utc(self) -> datetime: ...
    @property
    def ended_utc(self) -> datetime: ...


def clock_off_s(phases: Iterable[Timed], made: datetime, noted: datetime | None) -> float:
    """Least number of seconds by which the clock of a host is wrong; 0 where nothing shows it.

    Its phases began after the run was ``made`` and ended before the controller ``noted`` its
    outcome, both by the controller's clock; None: that is not known. A clock that is wrong by
    less than the run lasted may stay unseen.
    """
    phases = tuple(phases)
    early = max(((made - phase.started_utc).total_seconds() for phase in phases), default=0.0)
    late = 0.0
    if noted is not None:
        late = max(((phase.ended_utc - noted).total_seconds() for phase in phases), default=0.0)
    return max(early, late, 0.0)

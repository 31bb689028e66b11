"""How far a host's clock is from the controller's, from looks at the host that are made anyway."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

WARN_S = 2.0
"""A clock farther off than this makes logs and sensors of several hosts hard to put together."""
MOST_OFFSET_S = 100 * 366 * 86_400.0
"""A century. A host may say anything of its clock; one that says more tells no time."""


@dataclass(frozen=True)
class ClockReading:
    """The host's clock less the controller's, and the most that this may be wrong by."""

    offset_s: float
    error_s: float

    @property
    def round_trip_s(self) -> float:
        return 2 * self.error_s

    @property
    def is_off(self) -> bool:
        """Whether it certainly is farther off than is well."""
        return abs(self.offset_s) - self.error_s > WARN_S

    @property
    def warning(self) -> str:
        return (
            f"its clock is {abs(self.offset_s):.1f} s "
            f"{'ahead of' if self.offset_s > 0 else 'behind'} the controller's: set both by NTP "
            "(timedatectl set-ntp true)"
        )


def read_clock(before: float, first: float, last: float, after: float) -> ClockReading | None:
    """From four moments in their order, as NTP does it (RFC 5905, section 8).

    The controller's clock ``before`` it asked and ``after`` it had the answer, and the host's as
    it began (``first``) and ended (``last``) to answer; all in seconds. None if they cannot be
    those of one question: a clock was set meanwhile, or the host's tells no time.
    """
    round_trip = (after - before) - (last - first)
    offset = ((first - before) + (last - after)) / 2
    if last < first or round_trip < 0 or not abs(offset) <= MOST_OFFSET_S:
        return None
    return ClockReading(offset, round_trip / 2)


def controller_time(at: datetime, offset_s: float) -> datetime:
    """A moment of a host's clock on the controller's; as it is where no date would be left."""
    try:
        return at - timedelta(seconds=offset_s)
    except OverflowError:
        return at


class ClockWatch:
    """Keeps the best of many readings: that with the least round trip."""

    def __init__(self) -> None:
        self.best: ClockReading | None = None
        self.looks = 0

    def add(self, reading: ClockReading | None) -> None:
        if reading is None:
            return
        self.looks += 1
        if self.best is None or reading.error_s < self.best.error_s:
            self.best = reading

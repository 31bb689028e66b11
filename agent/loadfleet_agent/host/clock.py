"""Whether somebody sets the host's clock while something is measured by it."""

from __future__ import annotations

import time

STEP_S = 0.5
"""NTP slews both clocks alike, so that anything between them is a step; less than this may be the
time between two calls on a busy host."""


class ClockWatch:
    """Compares the wall clock with the monotonic one from its making on.

    LoadGen is why: its PerfClock is std::chrono::high_resolution_clock, which in libstdc++ is the
    wall clock. A step moves every latency, sends the rest of a schedule at once, or stops it.
    """

    def __init__(self) -> None:
        self._offset_s = _offset_s()

    @property
    def step_s(self) -> float | None:
        """By how much the clock was set ahead (back: negative); None: it was not."""
        step = _offset_s() - self._offset_s
        return step if abs(step) > STEP_S else None


def describe_step(step_s: float) -> str:
    """For a message."""
    return (
        f"the host's clock was set {abs(step_s):,.0f} s {'ahead' if step_s > 0 else 'back'}, and "
        "LoadGen measures by it"
    )


def _offset_s() -> float:
    return time.time() - time.monotonic()

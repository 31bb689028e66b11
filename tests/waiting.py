"""Waiting for something that other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONG_S = 300.0
"""Machines may be slow and busy; no test waits so long unless something is wrong."""
POLL_S = 0.05


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = LONG_S) -> T:
    """The first truthy value of ``condition``; fails with ``what`` if there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(POLL_S)

"""Ctrl-C, counted: the command decides what the first and what the second means."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """How often the user asked for the end. A closed terminal (SIGHUP) and SIGTERM ask once."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.count = self.count + 1 if number == signal.SIGINT else max(self.count, 1)


@contextlib.contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """In place of KeyboardInterrupt, within the block."""
    interrupts = Interrupts()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupts.note) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

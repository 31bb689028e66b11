"""A playbook to its end, or to the user's: Ctrl-C once leaves it, twice stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from .interrupts import Interrupts
from .playbook import Event, Playbook

GRACE_S = 4.0
"""After the first Ctrl-C so long for a second one."""
END_S = 60.0
"""A playbook that was interrupted ends by itself within this, or is killed."""
REFRESH_S = 0.25


class End(StrEnum):
    ENDED = "ended"
    LEFT = "left"
    """By the user: what runs on the hosts goes on."""
    STOP = "stop"
    """The user wants that stopped too."""


class Listener(Protocol):
    """What makes something of a playbook's events."""

    def take(self, event: Event) -> None:
        """An event of ansible-runner's."""


def drive(
    playbook: Playbook,
    view: Listener,
    interrupts: Interrupts,
    refresh: Callable[[], None],
    leaving: Callable[[], None],
) -> End:
    """Gives the view each event, and calls ``refresh`` a few times a second, until the end.

    ``leaving`` is called at the first Ctrl-C. The playbook has ended when this returns.
    """
    playbook.start()
    left_at: float | None = None
    while True:
        for event in playbook.events(REFRESH_S):
            view.take(event)
        refresh()
        now = time.monotonic()
        if interrupts.count and left_at is None:
            left_at = now
            playbook.interrupt()
            leaving()
        if left_at is not None and now - left_at > END_S:
            playbook.kill()
        if not playbook.is_alive and (
            left_at is None or interrupts.count > 1 or now - left_at >= GRACE_S
        ):
            break
    playbook.finish()
    for event in playbook.events(0):
        view.take(event)
    refresh()
    if left_at is None:
        return End.ENDED
    return End.STOP if interrupts.count > 1 else End.LEFT

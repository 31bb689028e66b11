"""Names of hosts as ids of a page."""

from __future__ import annotations

import re

UNSAFE = re.compile(r"[^A-Za-z0-9.-]")


def anchor(name: str) -> str:
    """An id for any name, another for each: what is not safe is told by its number.

    The underscore ends and begins such a number, and is one itself, so that no two names meet.
    """
    return "host-" + UNSAFE.sub(lambda match: f"_{ord(match[0]):x}_", name)

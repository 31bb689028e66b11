"""Names, counts and texts of any length in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def some(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def shortened(text: str, most: int = 300) -> str:
    """A text of others, no longer than anybody reads."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def count_of(number: int, what: str) -> str:
    """1 host, 2 hosts."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"

"""Text on a terminal: of others made harmless, tables aligned, numbers drawn small."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def printable(text: object) -> str:
    """Any text as one line that moves no cursor and sets no colour."""
    return printable_line(" ".join(str(text).split()))


def printable_line(text: str) -> str:
    """The same, its blanks kept: a line of a log."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text.expandtabs()
    )


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows of equal length as lines; the first ``left`` columns to the left, the others right.

    Every cell is made ``printable``.
    """
    rows = [[printable(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if index < left else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, between the least and the greatest of them."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if low == high:
        return BARS[0] * len(values)
    top = len(BARS) - 1
    return "".join(BARS[round((value - low) / (high - low) * top)] for value in values)

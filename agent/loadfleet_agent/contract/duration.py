"""Durations for people."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """'8 s', '56 min', '3 h 05 min': rounded."""
    if seconds < 0.5:
        return "under 1 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h" + (f" {minutes:02d} min" if minutes else "")

"""Numbers as they are shown everywhere."""

from __future__ import annotations

from ..intervals import Interval

NO_VALUE = "\N{EN DASH}"


def number(value: float | None, digits: int = 1) -> str:
    return NO_VALUE if value is None else f"{value:,.{digits}f}"


def milliseconds(nanoseconds: float | None) -> str:
    """With as many digits as help."""
    if nanoseconds is None:
        return NO_VALUE
    value = nanoseconds / 1e6
    return f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def share(value: float) -> str:
    """0.03 as 3 %, without needless digits."""
    return f"{value * 100:.4g} %"


def change(ratio: float | None) -> str:
    """0.97 as -3.0 %; small changes with a digit more."""
    if ratio is None:
        return NO_VALUE
    percent = (ratio - 1) * 100
    return f"{percent:+.2f} %" if abs(percent) < 1 else f"{percent:+,.1f} %"


def change_range(interval: Interval | None) -> str:
    """An interval of ratios as changes, or a dash."""
    if interval is None:
        return NO_VALUE
    return f"{change(interval.low)} to {change(interval.high)}"


def signed_share(value: float | None) -> str:
    """0.03 as +3.0 %."""
    return NO_VALUE if value is None else f"{value * 100:+.1f} %"

"""Which hosts a table or a chart names where there are too many for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

from ..charts.marks import Series
from .standing import PlacedHost

ALL_LISTED = 24
"""Up to so many hosts a table lists each of them; beyond, those that want a look."""
MOST_LISTED = 100
"""Of those that want a look."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Range:
    """Of one figure over many hosts."""

    low: float
    middle: float
    high: float


Told = TypeVar("Told")


@dataclass(frozen=True)
class Drawn(Generic[Told]):
    """What a chart shows of so many hosts."""

    named: tuple[tuple[PlacedHost, Told], ...]
    """A line each."""
    fleet: tuple[Told, ...]
    """A band of all of them; empty where each has its line."""


MOST_MARKED_LINES = 6
"""Lines over a band."""


def drawn(told: Sequence[tuple[PlacedHost, Told]], most: int) -> Drawn[Told]:
    """A line for each host up to ``most``; beyond, for the worst that want a look."""
    if len(told) <= most:
        return Drawn(tuple(told), ())
    wanting = [item for item in told if item[0].standing.wants_a_look]
    return Drawn(tuple(wanting[:MOST_MARKED_LINES]), tuple(one for _, one in told))


def lines(hosts: Sequence[PlacedHost], *, over_band: bool) -> tuple[Series, ...]:
    """Names and looks of the hosts' lines; a band has the first colour."""
    return tuple(
        Series(host.name, host.anchor, number)
        for number, host in enumerate(hosts, start=int(over_band))
    )


def value_range(values: Sequence[float]) -> Range | None:
    """None of no values."""
    if not values:
        return None
    return Range(min(values), median(values), max(values))


@dataclass(frozen=True)
class Listed(Generic[Row]):
    """Rows of a table by host: all, or those of the hosts that want a look."""

    rows: tuple[Row, ...]
    left_out: int
    """Hosts with rows that are not listed: plain ones, and flagged ones beyond the most."""


def listed(
    placed: Sequence[PlacedHost], rows_of: Callable[[PlacedHost], Sequence[Row]]
) -> Listed[Row]:
    """The rows of each host that has any, in the hosts' order."""
    having = [(host, rows) for host in placed if (rows := rows_of(host))]
    if len(having) <= ALL_LISTED:
        return Listed(tuple(row for _, rows in having for row in rows), 0)
    shown = [rows for host, rows in having if host.standing.wants_a_look][:MOST_LISTED]
    return Listed(tuple(row for rows in shown for row in rows), len(having) - len(shown))

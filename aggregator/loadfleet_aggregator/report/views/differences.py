"""What differs between hosts, the commonest value first and long lists cut."""

from __future__ import annotations

from dataclasses import dataclass

from ...text.listing import some
from ..model import FleetReport

MOST_VALUES = 6
MOST_NAMES = 6


@dataclass(frozen=True)
class Value:
    text: str
    hosts: int
    names: str


@dataclass(frozen=True)
class DifferingFact:
    name: str
    values: tuple[Value, ...]
    more: int
    """Values that are left out."""


def differing_facts(report: FleetReport) -> tuple[DifferingFact, ...]:
    """Facts and settings that are not the same everywhere; those that nearly all share first."""
    found = []
    for item in report.differences:
        ordered = sorted(item.values.items(), key=lambda value: (-len(value[1]), value[0]))
        shown = tuple(
            Value(text, len(names), some(names, MOST_NAMES))
            for text, names in ordered[:MOST_VALUES]
        )
        found.append(DifferingFact(item.name, shown, len(ordered) - len(shown)))
    return tuple(sorted(found, key=lambda fact: len(fact.values) + fact.more))

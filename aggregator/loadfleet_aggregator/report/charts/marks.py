"""How the lines of a chart are told apart: by colour, by dashes and by the shape of their marks."""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = 8
"""Okabe and Ito's palette, in report.css."""
DASHES = 5
SHAPES = 5


@dataclass(frozen=True)
class Series:
    """A line's name and looks; the first 40 all differ, as 8 colours and 5 dashes never fall
    together before."""

    name: str
    anchor: str
    number: int
    """From 0; from 1 beside a band, whose colour is the first."""

    @property
    def classes(self) -> str:
        return f"c{self.number % COLOURS} d{self.number % DASHES}"

    @property
    def shape(self) -> str:
        return f"m{self.number % SHAPES}"

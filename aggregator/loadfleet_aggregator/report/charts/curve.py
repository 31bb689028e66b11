"""Curves as SVG paths in a box of whole numbers, which the page stretches to its place."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""Across and down, each as a share of the box, 0 to 1."""


@dataclass(frozen=True)
class Box:
    """Whole numbers from 0 to ``width`` across and to ``height`` down."""

    width: int = 1000
    height: int = 1000


def curve(points: Iterable[Point | None], box: Box) -> str:
    """A line through the points, broken where one is None.

    ``M`` with the first point of each piece, then ``l`` with steps: short, and the page's script
    reads the values of a chart back from it.
    """
    pieces: list[list[tuple[int, int]]] = [[]]
    for point in points:
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append((round(point[0] * box.width), round(point[1] * box.height)))
    return "".join(_piece(piece) for piece in pieces if piece)


def band(upper: Sequence[Point | None], lower: Sequence[Point | None], box: Box) -> str:
    """The area between two lines of as many points; nothing where either has none."""
    pieces: list[list[tuple[Point, Point]]] = [[]]
    for above, below in zip(upper, lower, strict=True):
        if above is None or below is None:
            pieces.append([])
        else:
            pieces[-1].append((above, below))
    return "".join(
        curve([*(a for a, _ in piece), *(b for _, b in reversed(piece))], box) + "z"
        for piece in pieces
        if piece
    )


def grid(across: Iterable[float], down: Iterable[float], box: Box) -> str:
    """Lines over the whole box at percents of its width and its height."""
    lines = [f"M{round(at / 100 * box.width)} 0v{box.height}" for at in across]
    lines += [f"M0 {round(at / 100 * box.height)}h{box.width}" for at in down]
    return "".join(lines)


def area(at: float, width: float, box: Box) -> str:
    """A rectangle of the box's height, from and so wide in percent."""
    left, wide = round(at / 100 * box.width), round(width / 100 * box.width)
    return f"M{left} 0h{wide}v{box.height}h{-wide}z"


def _piece(points: list[tuple[int, int]]) -> str:
    """One unbroken line; a single point becomes a dot under round line ends."""
    steps: list[tuple[int, int]] = []
    for before, after in itertools.pairwise(points):
        step = after[0] - before[0], after[1] - before[1]
        if steps and step[1] == steps[-1][1] == 0 and (step[0] > 0) == (steps[-1][0] > 0):
            steps[-1] = steps[-1][0] + step[0], 0  # a level stretch is one step
        else:
            steps.append(step)
    numbers = " ".join(f"{right} {down}" for right, down in steps or [(0, 0)])
    return f"M{points[0][0]} {points[0][1]}l{numbers.replace(' -', '-')}"

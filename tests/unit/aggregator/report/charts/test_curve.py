"""Paths go through the points that they are given."""

from __future__ import annotations

import re

import pytest
from loadfleet_aggregator.report.charts.curve import Box, Point, area, band, curve, grid

BOX = Box(100, 100)


def points_of(path: str) -> list[list[tuple[int, int]]]:
    """Each piece's points, read back by the rules of SVG."""
    pieces = []
    for piece in path.replace("z", "").split("M")[1:]:
        start, _, steps = piece.partition("l")
        x, y = map(int, start.split())
        numbers = list(map(int, re.findall(r"-?\d+", steps)))
        found = [(x, y)]
        for right, down in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + right, y + down
            found.append((x, y))
        pieces.append(found)
    return pieces


def test_a_curve_goes_through_its_points() -> None:
    path = curve([(0, 1), (0.1, 0.5), (0.3, 0.62), (1, 0)], BOX)
    assert path == "M0 100l10-50 20 12 70-62"
    assert points_of(path) == [[(0, 100), (10, 50), (30, 62), (100, 0)]]


def test_it_is_broken_where_nothing_is_known() -> None:
    path = curve([None, (0, 0), (0.1, 0.1), None, None, (0.5, 0.2), (0.6, 0.1), None], BOX)
    assert points_of(path) == [[(0, 0), (10, 10)], [(50, 20), (60, 10)]]


def test_a_single_point_is_a_dot() -> None:
    assert curve([(0.5, 0.5)], BOX) == "M50 50l0 0"


def test_a_level_stretch_is_one_step_and_a_way_back_another() -> None:
    assert curve([(x / 10, 0.5) for x in range(10)], BOX) == "M0 50l90 0"
    assert curve([(0, 0.5), (0.2, 0.5), (0.1, 0.5)], BOX) == "M0 50l20 0-10 0"


@pytest.mark.parametrize("points", [[], [None], [None, None]])
def test_nothing_is_drawn_of_nothing(points: list[Point | None]) -> None:
    assert curve(points, BOX) == ""


def test_a_band_goes_there_above_and_back_below() -> None:
    path = band([(0, 0.1), (0.5, 0.2)], [(0, 0.9), (0.5, 0.8)], BOX)
    assert path.endswith("z")
    assert points_of(path) == [[(0, 10), (50, 20), (50, 80), (0, 90)]]
    assert band([(0, 0.1), None], [(0, 0.9), (0.5, 0.8)], BOX).count("z") == 1


def test_grids_and_areas_span_the_box() -> None:
    assert grid([50], [25], Box(200, 100)) == "M100 0v100M0 25h200"
    assert area(10, 20, Box(200, 100)) == "M20 0h40v100h-40z"

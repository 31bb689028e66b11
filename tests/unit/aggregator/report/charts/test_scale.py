"""Axes have round values, and a value stands where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from loadfleet_aggregator.report.charts.scale import Scale, scale_over, time_ticks

NOON = datetime(2026, 8, 1, 11, 59, 46, tzinfo=UTC)


def test_a_value_outside_stands_at_the_edge() -> None:
    scale = Scale(10.0, 20.0)
    assert [scale.percent(value) for value in (0, 10, 12.5, 20, 99)] == [0, 0, 25, 100, 100]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 2_000.0, ["0", "500", "1,000", "1,500", "2,000"]),
        (0.371, 0.52, ["0.40", "0.45", "0.50"]),
        (0.0, 10.0, ["0.0", "2.5", "5.0", "7.5", "10.0"]),
        (-0.3, 0.25, ["-0.2", "0.0", "0.2"]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, labels: list[str]) -> None:
    ticks = Scale(low, high).ticks(5 if high == 1 else 4)
    assert [tick.label for tick in ticks] == labels
    assert all(0 <= tick.at <= 100 for tick in ticks)


def test_the_labels_tell_the_places() -> None:
    scale = Scale(3.0, 47.0)
    for tick in scale.ticks():
        assert tick.at == pytest.approx(scale.percent(float(tick.label)), abs=0.01)


def test_an_axis_of_one_value_or_none_has_a_length() -> None:
    for values in ([], [5.0], [5.0, 5.0], [0.0]):
        for from_zero in (True, False):
            scale = scale_over(values, from_zero=from_zero)
            assert scale.high > scale.low
    assert scale_over([5.0, 6.0], from_zero=True).low == 0
    assert 4 < scale_over([5.0, 6.0], from_zero=False).low < 5


def test_times_are_whole_minutes_of_the_day() -> None:
    ticks = time_ticks(NOON, 1_372.8)
    assert [tick.label for tick in ticks] == ["12:00", "12:05", "12:10", "12:15", "12:20"]
    assert ticks[0].at == pytest.approx(14 / 1_372.8 * 100, abs=0.01)


def test_short_runs_have_seconds_and_long_ones_hours() -> None:
    assert [tick.label for tick in time_ticks(NOON, 10)] == [
        f"11:59:{second}" for second in (46, 48, 50, 52, 54, 56)
    ]
    assert [tick.label for tick in time_ticks(NOON, 50 * 3600)][:2] == ["12:00", "00:00"]


def test_one_value_has_an_axis_however_large_it_is() -> None:
    for value in (0.0, 1e6, -1.4e23, 1e300):
        scale = scale_over([value, value], from_zero=False)
        assert scale.low < value < scale.high
        assert scale.ticks()

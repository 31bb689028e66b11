"""A host's clock from four moments, as NTP does it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from loadfleet_aggregator.fleet.clock import (
    ClockReading,
    ClockWatch,
    controller_time,
    read_clock,
)


@pytest.mark.parametrize(
    ("moments", "offset_s", "error_s"),
    [
        # Nothing is on the way and the clocks are equal.
        ((10.0, 10.0, 10.0, 10.0), 0.0, 0.0),
        # 0.2 s there, 0.5 s of work, 0.2 s back; the host is 3 s ahead.
        ((10.0, 13.2, 13.7, 10.9), 3.0, 0.2),
        # As far as a one-sided way can mislead: 0.4 s there and none back.
        ((10.0, 13.4, 13.9, 10.9), 3.2, 0.2),
        ((100.0, 40.1, 40.1, 100.2), -60.0, 0.1),
    ],
)
def test_work_on_the_host_is_not_on_the_way(
    moments: tuple[float, float, float, float], offset_s: float, error_s: float
) -> None:
    reading = read_clock(*moments)
    assert reading is not None
    assert reading.offset_s == pytest.approx(offset_s)
    assert reading.error_s == pytest.approx(error_s)
    assert reading.round_trip_s == pytest.approx(2 * error_s)


@pytest.mark.parametrize("moments", [(10.0, 13.0, 12.0, 11.0), (10.0, 13.0, 15.0, 11.0)])
def test_a_clock_that_was_set_meanwhile_tells_nothing(
    moments: tuple[float, float, float, float],
) -> None:
    assert read_clock(*moments) is None


@pytest.mark.parametrize("now", [-1e300, 1e15, float("nan"), float("inf")])
def test_a_host_that_says_no_time_tells_nothing(now: float) -> None:
    assert read_clock(1e9, now, now, 1e9) is None


@pytest.mark.parametrize(
    ("at", "offset_s", "there"),
    [
        (datetime(2027, 1, 15, 8, tzinfo=UTC), 60.0, datetime(2027, 1, 15, 7, 59, tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), 60.0, datetime.min.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), -1e300, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_moment_is_put_on_the_controllers_clock_as_far_as_there_are_dates(
    at: datetime, offset_s: float, there: datetime
) -> None:
    assert controller_time(at, offset_s) == there


def test_of_many_readings_that_with_the_least_round_trip_counts() -> None:
    watch = ClockWatch()
    for reading in (None, ClockReading(0.3, 0.4), ClockReading(0.1, 0.05), ClockReading(0.2, 0.1)):
        watch.add(reading)
    assert watch.best == ClockReading(0.1, 0.05)
    assert watch.looks == 3


@pytest.mark.parametrize(
    ("offset_s", "error_s", "is_off"),
    [(2.5, 0.1, True), (-2.5, 0.1, True), (2.5, 1.0, False), (1.9, 0.0, False)],
)
def test_only_what_is_certain_is_warned_of(offset_s: float, error_s: float, is_off: bool) -> None:
    assert ClockReading(offset_s, error_s).is_off is is_off


def test_the_warning_says_which_way() -> None:
    assert ClockReading(7.0, 0.1).warning.startswith("its clock is 7.0 s ahead of the controller's")
    assert ClockReading(-7.0, 0.1).warning.startswith("its clock is 7.0 s behind the controller's")

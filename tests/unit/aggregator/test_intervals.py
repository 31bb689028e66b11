"""Intervals are those of the textbooks, and of another implementation."""

from __future__ import annotations

import math
import random

import pytest
from loadfleet_aggregator.intervals import (
    Interval,
    geometric_mean,
    log_difference_interval,
    log_mean_interval,
)
from scipy import stats

DRUG_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
DRUG_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
"""Hours of sleep gained, from Student's own paper; R's manual has the intervals below."""


def logs(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return math.log(interval.low), math.log(interval.high)


def samples(seed: int) -> tuple[list[float], list[float]]:
    source = random.Random(seed)
    sizes = source.randint(2, 12), source.randint(2, 12)
    old, new = ([source.lognormvariate(3, 0.2) for _ in range(size)] for size in sizes)
    return old, new


def test_of_a_mean_is_students() -> None:
    ratios = [math.exp(two - one) for one, two in zip(DRUG_1, DRUG_2, strict=True)]
    assert logs(log_mean_interval(ratios)) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


def test_of_a_difference_is_welchs() -> None:
    two, one = ([math.exp(hours) for hours in drug] for drug in (DRUG_2, DRUG_1))
    found = logs(log_difference_interval(two, one))
    assert found == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("seed", range(10))
def test_agree_with_scipys_tests(seed: int, confidence: float) -> None:
    old, new = samples(seed)
    left, right = [math.log(x) for x in old], [math.log(x) for x in new]
    mean = stats.ttest_1samp(left, 0).confidence_interval(confidence)
    assert logs(log_mean_interval(old, confidence)) == pytest.approx((mean.low, mean.high))
    welch = stats.ttest_ind(right, left, equal_var=False).confidence_interval(confidence)
    found = logs(log_difference_interval(old, new, confidence))
    assert found == pytest.approx((welch.low, welch.high))


@pytest.mark.parametrize("seed", range(10))
def test_of_a_ratio_is_inverted_where_the_sides_are_swapped(seed: int) -> None:
    old, new = samples(seed)
    low, high = logs(log_difference_interval(old, new))
    assert logs(log_difference_interval(new, old)) == pytest.approx((-high, -low))


def test_have_no_width_without_scatter() -> None:
    assert log_mean_interval([1.0, 1.0, 1.0]) == Interval(low=1, high=1)
    assert log_difference_interval([2.0, 2.0], [2.0, 2.0]) == Interval(low=1, high=1)


@pytest.mark.parametrize("values", [[], [5.0]])
def test_are_none_of_fewer_than_two_values(values: list[float]) -> None:
    assert log_mean_interval(values) is None
    assert log_difference_interval(values, [1.0, 2.0]) is None
    assert log_difference_interval([1.0, 2.0], values) is None


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_refuse_a_value_that_has_no_logarithm(value: float) -> None:
    for call in (log_mean_interval, geometric_mean):
        with pytest.raises(ValueError, match="not positive"):
            call([1.0, value])
    with pytest.raises(ValueError, match="not positive"):
        log_difference_interval([1.0, 2.0], [1.0, value])


def test_the_geometric_mean_of_nothing_is_refused() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="no values"):
        geometric_mean([])

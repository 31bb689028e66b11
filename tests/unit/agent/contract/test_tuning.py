"""The gain of a tuned profile is no more certain than its pairs."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.tuning import TunedPair, measure_gain


def pair(base: float, best: float) -> TunedPair:
    return TunedPair(base_samples_per_s=base, best_samples_per_s=best)


def test_without_a_pair_there_is_no_gain() -> None:
    assert measure_gain([]) is None


def test_one_pair_has_no_interval() -> None:
    gain = measure_gain([pair(10, 11)])
    assert gain is not None
    assert gain.mean == pytest.approx(0.1)
    assert (gain.low, gain.high) == (None, None)


def test_the_interval_is_students_on_the_logarithm() -> None:
    """By hand: logs of 1.05, 1.07, 1.10 have mean 0.070583 and standard deviation 0.023406;
    t(2) = 4.303, so 0.070583 -+ 0.058149."""
    gain = measure_gain([pair(100, 105), pair(50, 53.5), pair(10, 11)])
    assert gain is not None
    assert gain.low is not None
    assert gain.high is not None
    assert gain.mean == pytest.approx(0.07314, abs=2e-4)
    assert gain.low == pytest.approx(0.01250, abs=2e-4)
    assert gain.high == pytest.approx(0.13736, abs=2e-4)


def test_pairs_that_agree_have_no_width() -> None:
    gain = measure_gain([pair(100, 105), pair(10, 10.5)])
    assert gain is not None
    assert gain.low == pytest.approx(gain.high)

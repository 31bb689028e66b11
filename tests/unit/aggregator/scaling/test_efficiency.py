"""Scaling of made-up repeats whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.intervals import Interval
from loadfleet_aggregator.scaling.efficiency import (
    LINEAR,
    NO_INTERVAL,
    SUPER_LINEAR,
    Repeat,
    scaling_report,
    verdict,
)
from loadfleet_aggregator.scaling.model import ScalingReport

HOSTS = ("a", "b")


def repeat(together: tuple[float, ...], alone: tuple[float, ...]) -> Repeat:
    return Repeat(
        together=dict(zip(HOSTS, together, strict=True)),
        alone=dict(zip(HOSTS, alone, strict=True)),
    )


def report(*repeats: Repeat) -> ScalingReport:
    built = scaling_report(Scenario.OFFLINE, HOSTS, repeats, (), ())
    assert built is not None
    return built


def test_of_one_repeat_there_is_an_efficiency_and_no_interval() -> None:
    found = report(repeat((80.0, 100.0), (100.0, 200.0)))
    assert found.efficiency == pytest.approx(0.6)
    assert found.interval is None
    assert found.verdict == NO_INTERVAL
    assert [host.efficiency for host in found.hosts] == pytest.approx([0.8, 0.5])
    assert [host.interval for host in found.hosts] == [None, None]
    # 180 of what two hosts as fast as b would do alone.
    assert found.against_best == pytest.approx(180 / 400)


def test_the_interval_is_students_on_the_logarithms_of_the_repeats() -> None:
    """By hand: logarithms -0.1, 0, 0.1 have the mean 0 and the standard deviation 0.1, and t with
    two degrees of freedom is 4.3027 (any table of Student's t)."""
    found = report(
        *(
            repeat((50 * math.exp(log), 50 * math.exp(log)), (50.0, 50.0))
            for log in (-0.1, 0.0, 0.1)
        )
    )
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert found.efficiency == pytest.approx(1.0)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(math.exp(-half), rel=1e-6)
    assert found.interval.high == pytest.approx(math.exp(half), rel=1e-6)
    assert found.of_repeats == pytest.approx([math.exp(-0.1), 1.0, math.exp(0.1)])
    assert found.verdict == LINEAR


def test_a_fleet_is_not_held_against_the_mean_of_its_own_run() -> None:
    """Against that any fleet is at 100 %; these hosts lose a half."""
    found = report(*(repeat((50.0, 50.0 + i), (100.0, 100.0 + 2 * i)) for i in range(3)))
    assert found.efficiency == pytest.approx(0.5)
    assert found.verdict.startswith("loses 50.0 %")


def test_a_repeat_in_which_a_run_does_not_count_is_left_out() -> None:
    whole = repeat((90.0, 90.0), (100.0, 100.0))
    no_alone = Repeat(together={"a": 1.0, "b": 1.0}, alone={"a": 100.0})
    no_together = Repeat(together={}, alone={"a": 100.0, "b": 100.0})
    found = report(no_alone, whole, no_together)
    assert (found.repeats, found.efficiency) == (1, pytest.approx(0.9))
    assert scaling_report(Scenario.OFFLINE, HOSTS, [no_alone, no_together], (), ()) is None


@pytest.mark.parametrize(
    ("efficiency", "interval", "text"),
    [
        (1.025, None, NO_INTERVAL),
        (1.025, (0.99, 1.06), LINEAR),
        (0.97, (0.94, 1.0), LINEAR),
        (0.97, (0.95, 0.99), "loses 3.0 % (1.0 % to 5.0 %)"),
        (1.03, (1.01, 1.05), SUPER_LINEAR),
    ],
)
def test_the_verdict_claims_nothing_that_the_interval_does_not_show(
    efficiency: float, interval: Any, text: str
) -> None:
    bounds = None if interval is None else Interval(low=interval[0], high=interval[1])
    assert verdict(efficiency, bounds) == text

"""A queue that grows is seen before it passes a limit; one that does not is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from loadfleet_agent.loadgen.steadiness import issue_delay_growth, ttft_growth
from loadfleet_agent.loadgen.sut import SampleRecord


def served(rate: float, capacity: float, seconds: float, seed: int = 0) -> list[SampleRecord]:
    """Poisson arrivals at one server that takes exponential times: an M/M/1 queue."""
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(1 / rate, int(rate * seconds)))
    free, records = 0.0, []
    for index, at in enumerate(arrivals):
        free = max(free, at) + generator.exponential(1 / capacity)
        records.append(SampleRecord(index, int(at * 1e9), int(free * 1e9), int(free * 1e9), 1, b""))
    return records


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [1.15, 1.3])
def test_above_the_capacity_it_grows_as_the_queue_does(share: float, seed: int) -> None:
    """The wait of a query grows by (rate - capacity) / capacity every second."""
    growth = ttft_growth(served(50 * share, 50, 60, seed))
    assert 0 < growth < 1.4 * (share - 1)


def test_below_the_capacity_it_seldom_seems_to_grow() -> None:
    found = [ttft_growth(served(40, 50, 60, seed)) > 0 for seed in range(200)]
    assert sum(found) <= 10


def test_the_order_of_completion_does_not_matter() -> None:
    records = served(60, 50, 30)
    assert ttft_growth(records[::-1]) == ttft_growth(records)


@pytest.mark.parametrize("count", [0, 1, 15])
def test_too_few_queries_show_no_trend(count: int) -> None:
    assert ttft_growth(served(60, 50, 30)[:count]) == 0.0


def test_queries_of_one_moment_show_no_trend() -> None:
    records = [SampleRecord(i, 0, 1_000 * i, 2_000 * i, 1, b"") for i in range(100)]
    assert ttft_growth(records) == 0.0


class TestIssueDelay:
    @pytest.mark.parametrize("seed", range(8))
    def test_of_a_loadgen_that_sends_too_slowly_is_seen(self, seed: int) -> None:
        """Asked for 60 a second it sent 50: after each second it is 1/6 s further behind."""
        found = issue_delay_growth(served(50, 100, 60, seed), 60)
        assert 0 < found < 1 - 50 / 60 + 0.05

    def test_of_one_that_keeps_its_schedule_is_seldom_seen(self) -> None:
        found = [issue_delay_growth(served(50, 100, 60, seed), 50) > 0 for seed in range(200)]
        assert sum(found) <= 2

    def test_of_one_query_is_none(self) -> None:
        assert issue_delay_growth(served(50, 100, 60)[:1], 50) == 0.0

"""How a change of hosts becomes one of a fleet, and when it is a loss."""

from __future__ import annotations

import random

import pytest
from loadfleet_aggregator.compare.change import fleet_change, host_change, judge
from loadfleet_aggregator.compare.loss import parse_loss
from loadfleet_aggregator.compare.model import FleetChange, HostChange, Outcome
from loadfleet_aggregator.report.metric import Metric

SPEED, LATENCY = Metric.TOKENS_PER_SECOND, Metric.LATENCY_P90


def hosts(*ratios: float) -> list[HostChange]:
    return [host_change(f"h{i}", (100.0,), (100 * ratio,)) for i, ratio in enumerate(ratios)]


def random_hosts(seed: int) -> list[HostChange]:
    source = random.Random(seed)
    return [
        host_change(f"h{i}", (source.uniform(1, 9),), (source.uniform(1, 9),))
        for i in range(source.randint(2, 9))
    ]


def swapped(items: list[HostChange]) -> list[HostChange]:
    return [host_change(item.host, item.new, item.old) for item in items]


class TestFleet:
    def test_is_the_geometric_mean_of_its_hosts(self) -> None:
        found = fleet_change(SPEED, hosts(0.5, 2.0))
        assert found.ratio == pytest.approx(1.0)
        assert (found.old, found.new) == pytest.approx((100, 100))
        assert found.interval is not None

    @pytest.mark.parametrize("metric", [SPEED, LATENCY])
    @pytest.mark.parametrize("seed", range(8))
    def test_does_not_depend_on_the_order_of_hosts(self, metric: Metric, seed: int) -> None:
        items = random_hosts(seed)
        shuffled = random.Random(seed + 1).sample(items, len(items))
        assert fleet_change(metric, shuffled) == fleet_change(metric, items)

    @pytest.mark.parametrize("seed", range(8))
    def test_is_inverted_where_the_runs_are_swapped(self, seed: int) -> None:
        items = random_hosts(seed)
        there, back = fleet_change(SPEED, items), fleet_change(SPEED, swapped(items))
        assert there.ratio is not None
        assert there.interval is not None
        assert back.interval is not None
        assert back.ratio == pytest.approx(1 / there.ratio)
        assert back.interval.low == pytest.approx(1 / there.interval.high)
        assert back.interval.high == pytest.approx(1 / there.interval.low)

    def test_has_its_worst_host_first(self) -> None:
        names = [item.host for item in fleet_change(SPEED, hosts(1.0, 0.9, 1.1)).hosts]
        assert names == ["h1", "h0", "h2"]
        names = [item.host for item in fleet_change(LATENCY, hosts(1.0, 0.9, 1.1)).hosts]
        assert names == ["h2", "h0", "h1"]

    def test_of_one_host_with_one_run_has_no_interval(self) -> None:
        found = fleet_change(SPEED, hosts(0.5))
        assert (found.ratio, found.interval) == (0.5, None)

    def test_of_no_host_has_nothing(self) -> None:
        found = fleet_change(SPEED, [])
        assert (found.ratio, found.interval, found.old, found.new) == (None, None, None, None)

    def test_of_one_host_with_repeats_has_the_interval_of_these(self) -> None:
        repeated = host_change("h", (100, 101, 99), (90, 91, 89))
        assert repeated.interval is not None
        found = fleet_change(SPEED, [repeated])
        assert found.interval == repeated.interval
        assert found.ratio == pytest.approx(0.9, rel=1e-3)
        assert judge(found, 0.03) is Outcome.FAIL
        assert judge(fleet_change(SPEED, swapped([repeated])), 0.03) is Outcome.PASS

    def test_takes_hosts_as_units_also_where_they_have_repeats(self) -> None:
        repeated = [host_change(f"h{i}", (100, 100), (r, r)) for i, r in enumerate((90, 110))]
        single = hosts(0.9, 1.1)
        found, expected = fleet_change(SPEED, repeated).interval, fleet_change(SPEED, single)
        assert found is not None
        assert expected.interval is not None
        assert found.low == pytest.approx(expected.interval.low)
        assert found.high == pytest.approx(expected.interval.high)


class TestJudge:
    @pytest.mark.parametrize(
        ("ratios", "outcome"),
        [
            ((0.90, 0.901, 0.899), Outcome.FAIL),
            ((0.99, 0.991, 0.989), Outcome.PASS),
            ((1.2, 1.21, 1.19), Outcome.PASS),
            ((0.97, 0.971, 0.969), Outcome.INCONCLUSIVE),
            ((0.5, 1.0), Outcome.INCONCLUSIVE),
            ((0.5,), Outcome.INCONCLUSIVE),
            ((), Outcome.INCONCLUSIVE),
        ],
        ids=str,
    )
    def test_a_speed_by_its_whole_interval(
        self, ratios: tuple[float, ...], outcome: Outcome
    ) -> None:
        assert judge(fleet_change(SPEED, hosts(*ratios)), 0.03) is outcome

    @pytest.mark.parametrize(
        ("ratios", "outcome"),
        [
            ((1.10, 1.101, 1.099), Outcome.FAIL),
            ((1.01, 1.011, 1.009), Outcome.PASS),
            ((0.8, 0.801, 0.799), Outcome.PASS),
            ((1.03, 1.031, 1.029), Outcome.INCONCLUSIVE),
        ],
        ids=str,
    )
    def test_a_latency_the_other_way(self, ratios: tuple[float, ...], outcome: Outcome) -> None:
        assert judge(fleet_change(LATENCY, hosts(*ratios)), 0.03) is outcome

    @pytest.mark.parametrize("metric", [SPEED, LATENCY])
    @pytest.mark.parametrize("allowed", [0.0, 0.03])
    def test_equal_runs_never_fail_a_fleet(self, metric: Metric, allowed: float) -> None:
        equal: FleetChange = fleet_change(metric, hosts(1.0, 1.0))
        assert judge(equal, allowed) is Outcome.PASS


class TestLoss:
    @pytest.mark.parametrize("text", ["3%", "3 %", "0.03", " 3% ", "3.0%", "3e-2"])
    def test_is_a_share_however_it_is_written(self, text: str) -> None:
        assert parse_loss(text) == pytest.approx(0.03)

    @pytest.mark.parametrize("text", ["3", "100%", "-1%", "nan", "inf", "", "%", "3%%", "three"])
    def test_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="write it as 3% or 0.03"):
            parse_loss(text)

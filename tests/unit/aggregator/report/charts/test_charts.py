"""Charts show the figures of their models, and stay inside their boxes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loadfleet_aggregator.report.charts.dots import dot_axis
from loadfleet_aggregator.report.charts.histogram import histogram
from loadfleet_aggregator.report.charts.latency import distributions
from loadfleet_aggregator.report.charts.marks import COLOURS, DASHES, Series
from loadfleet_aggregator.report.charts.percentiles import Percentiles, percentile_axis
from loadfleet_aggregator.report.charts.timeline import Run, draw_timeline
from loadfleet_aggregator.samples.model import PROBABILITIES, LatencyCurve
from loadfleet_aggregator.timeline.model import HostTimeline, TimeAxis

from .test_curve import points_of

START = datetime(2026, 8, 1, 12, tzinfo=UTC)
MS = 1e6


def series(number: int = 0) -> Series:
    return Series(f"gpu-{number}", f"host-gpu-{number}", number)


def straight(
    factor: float = 1.0, limit_ms: float | None = None, metric: Any = "ttft"
) -> LatencyCurve:
    """From 0 to 100 ms, all latencies equally often."""
    return LatencyCurve(
        metric="ttft",
        samples=1000,
        quantiles_ns=tuple(p * 100 * MS * factor for p in PROBABILITIES),
        p99_bound_ns=99.6 * MS * factor,
        limit_ns=None if limit_ms is None else round(limit_ms * MS),
        over_limit=None,
        loadgen_p99_ns=None,
        difference=None,
    )


def timeline(**told: Any) -> HostTimeline:
    nothing = dict.fromkeys(
        ("power_w", "sm_clock_mhz", "temperature_c", "cpu_percent"), (None,) * 10
    ) | {"running": (), "waiting": (), "kv_cache": ()}
    return HostTimeline(**({"tokens_per_second": (0.0,) * 10} | nothing | told))


class TestMarks:
    def test_the_first_forty_lines_differ(self) -> None:
        looks = {series(number).classes for number in range(COLOURS * DASHES)}
        assert len(looks) == 40


class TestDistributions:
    def test_the_marks_lie_on_the_line(self) -> None:
        chart = distributions([(series(), straight())], [])
        (line,) = chart.lines
        (points,) = points_of(line.path)
        assert chart.low_ms == 0
        for mark, p in zip(line.marks, (0.5, 0.9, 0.99), strict=True):
            assert mark.x == pytest.approx(p * 100 / chart.high_ms * 100, abs=0.01)
            assert mark.y == pytest.approx((1 - p) * 100)
            x, y = points[PROBABILITIES.index(p)]
            assert (x / 10, y / 10) == pytest.approx((mark.x, mark.y), abs=0.1)

    def test_a_near_limit_is_drawn_and_a_far_one_is_not(self) -> None:
        near = distributions([(series(), straight(limit_ms=200))], [])
        assert near.limit == pytest.approx(200 / near.high_ms * 100, abs=0.01)
        assert near.high_ms > 200
        far = distributions([(series(), straight(limit_ms=2000))], [])
        assert far.limit is None
        assert far.high_ms < 120

    def test_a_fleet_is_a_band_around_its_median(self) -> None:
        fleet = [straight(1 + number / 100) for number in range(101)]
        chart = distributions([(series(), fleet[-1])], fleet)
        assert chart.band.endswith("z")
        (middle,) = points_of(chart.middle)
        at = PROBABILITIES.index(0.5)
        assert middle[at][0] / 1000 * chart.high_ms == pytest.approx(50 * 1.5, rel=0.01)

    def test_the_axis_begins_near_latencies_that_are_far_from_zero(self) -> None:
        shifted = straight().model_copy(
            update={"quantiles_ns": tuple((60 + 40 * p) * MS for p in PROBABILITIES)}
        )
        chart = distributions([(series(), shifted)], [])
        assert 50 < chart.low_ms < 60
        (points,) = points_of(chart.lines[0].path)
        assert all(x >= 0 for x, _ in points)

    def test_samples_of_no_latency_have_an_axis(self) -> None:
        assert distributions([(series(), straight(0.0))], []).high_ms > 0


class TestPercentiles:
    def test_rows_share_an_axis_with_the_limit(self) -> None:
        rows = [Percentiles(10 * MS, 20 * MS, 50 * MS, 60 * MS), Percentiles(1, 2, 3, None)]
        axis = percentile_axis(rows, 100 * MS)
        first, second = (axis.row(row) for row in rows)
        assert first.limit == second.limit == axis.limit
        assert axis.limit == pytest.approx(100 / 1.04, abs=0.1)
        assert first.p99 == pytest.approx(axis.limit / 2, abs=0.1)
        assert first.whisker == pytest.approx(axis.limit / 10, abs=0.1)
        assert (second.bound, second.whisker) == (None, 0)

    def test_a_far_limit_leaves_the_rows_their_room(self) -> None:
        axis = percentile_axis([Percentiles(1, 2, 3, None)], 1000)
        assert axis.limit is None
        assert axis.row(Percentiles(1, 2, 3, None)).p99 > 90


class TestDots:
    def test_margins_are_told_from_the_least_that_passes(self) -> None:
        axis = dot_axis([0.5, 0.2], margins=True)
        row = axis.row([("a", 24.75), ("b", 24.45)], 24.6, 24.25)
        assert row.least is not None
        assert row.least < row.dots[1].x < row.pooled < row.dots[0].x  # type: ignore[operator]

    def test_a_missed_target_is_left_of_the_line(self) -> None:
        row = dot_axis([-0.3], margins=True).row([("a", 24.0)], None, 24.3)
        assert row.least is not None
        assert row.dots[0].x < row.least

    def test_scores_without_a_target_stand_for_themselves(self) -> None:
        row = dot_axis([12.0, 30.0], margins=False).row([("a", 12.0)], 12.0, None)
        assert row.least is None
        assert row.dots[0].x == row.pooled == pytest.approx(12 / (30 * 1.08) * 100, abs=0.01)


class TestHistogram:
    def test_every_value_is_in_a_bin(self) -> None:
        values = [float(v) for v in range(200)]
        chart = histogram(values, {"slow": 0.0})
        assert sum(one.hosts for one in chart.bins) == 200
        assert max(one.height for one in chart.bins) == 100
        assert max(one.hosts for one in chart.bins) == chart.most
        assert chart.bins[-1].x + chart.bins[-1].width == pytest.approx(100, abs=0.1)
        assert 0 <= chart.marked[0].x < chart.bins[1].x

    def test_hosts_of_one_speed_have_a_chart(self) -> None:
        assert sum(one.hosts for one in histogram([5.0] * 30, {}).bins) == 30


class TestTimeline:
    AXIS = TimeAxis(start_utc=START, bin_s=60, bins=10)

    def test_what_nobody_told_has_no_panel(self) -> None:
        chart = draw_timeline(self.AXIS, [(series(), timeline(), [])], [])
        assert [panel.title for panel in chart.panels] == ["output"]

    def test_a_value_stands_in_the_middle_of_its_bin(self) -> None:
        told = timeline(power_w=(None, None, 100.0, None, None, 400.0, 300.0, None, None, None))
        chart = draw_timeline(self.AXIS, [(series(), told, [])], [])
        panel = next(panel for panel in chart.panels if panel.title == "GPU power")
        pieces = points_of(panel.lines[0].path)
        assert [[x for x, _ in piece] for piece in pieces] == [[5, 5], [11, 13]]
        values = [panel.high - y / 1000 * (panel.high - panel.low) for _, y in pieces[1]]
        assert values == pytest.approx([400, 300], rel=0.01)
        assert panel.low == 0

    def test_series_that_end_early_or_late_fit_the_axis(self) -> None:
        told = timeline(running=(1.0,) * 4, waiting=(1.0,) * 99)
        chart = draw_timeline(self.AXIS, [(series(), told, [])], [])
        ends = {panel.title: points_of(panel.lines[0].path)[0][-1][0] for panel in chart.panels}
        assert ends == {"output": 19, "running requests": 7, "waiting requests": 19}

    def test_a_fleet_is_a_band_even_where_some_told_nothing(self) -> None:
        fleet = [timeline(power_w=(None, *(float(n),) * 9)) for n in range(100)]
        chart = draw_timeline(self.AXIS, [(series(1), fleet[99], [])], fleet)
        panel = next(panel for panel in chart.panels if panel.title == "GPU power")
        ((left, y), *_) = points_of(panel.middle)[0]
        assert left == 3
        assert panel.high * (1 - y / 1000) == pytest.approx(49.5, abs=0.5)
        assert panel.band

    def test_runs_are_where_they_were(self) -> None:
        def run(kind: str, start: int, end: int) -> Run:
            at = [START + timedelta(minutes=minute) for minute in (start, end)]
            return Run(kind, kind, at[0], at[1], True)

        runs = [run("performance", 1, 3), run("accuracy", 4, 9), run("performance", 20, 30)]
        chart = draw_timeline(self.AXIS, [(series(), timeline(), runs)], [])
        (row,) = chart.runs
        assert [(band.kind, band.x, band.width) for band in row.bands] == [
            ("performance", 10, 20),
            ("accuracy", 40, 50),
        ]
        assert row.performance == "M2 0h4v1000h-4z"
        assert row.others == "M8 0h10v1000h-10z"

    def test_a_small_chart_has_fewer_bins_of_the_same_time(self) -> None:
        axis = TimeAxis(start_utc=START, bin_s=1, bins=200)
        told = timeline(tokens_per_second=tuple(float(n % 2) for n in range(200)))
        chart = draw_timeline(axis, [(series(), told, [])], [], small=True)
        assert (chart.box.width, chart.box.height, chart.seconds) == (200, 100, 200)
        (points,) = points_of(chart.panels[0].lines[0].path)
        assert len({y for _, y in points}) == 1  # the mean of two is the same everywhere

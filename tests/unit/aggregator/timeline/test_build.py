"""All hosts are on one axis, and one with a wrong clock does not spoil it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import RESULT
from loadfleet_aggregator.timeline.build import FEWEST_BINS, MOST_BINS, build_timelines
from loadfleet_aggregator.timeline.model import HostTimeline, TimeAxis
from loadfleet_aggregator.timeline.trace import Trace, host_traces

from ..helpers import HostRun
from .made import run_of, sensors

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def phase(host_a: HostRun) -> PhaseResult:
    return HostResult.model_validate_json((host_a.folder / RESULT).read_bytes()).phases[0]


def host(
    phase: PhaseResult,
    started: datetime = START,
    seconds: float = 10,
    ends_s: Sequence[float] = (2.5,),
    cpu: Sequence[float] = (),
    offset_s: float = 0.0,
) -> tuple[Trace, ...]:
    told = sensors(started, cpu=cpu) if cpu else None
    return host_traces([run_of(phase, started, seconds, ends_s=ends_s)], told, (), offset_s)


def built(
    traces: dict[str, tuple[Trace, ...]], **wrong: float
) -> tuple[TimeAxis, dict[str, HostTimeline]]:
    axis, timelines = build_timelines(traces, wrong)
    assert axis is not None
    for timeline in timelines.values():
        for series in (timeline.tokens_per_second, timeline.power_w, timeline.cpu_percent):
            assert len(series) == axis.bins
    return axis, timelines


def test_the_axis_covers_all_runs(phase: PhaseResult) -> None:
    late = START + timedelta(seconds=20)
    axis, timelines = built({"a": host(phase), "b": host(phase, late)})
    assert (axis.start_utc, axis.bin_s, axis.bins) == (START, 1.0, 31)
    assert timelines["a"].tokens_per_second[2] == 10.0
    assert timelines["b"].tokens_per_second[22] == 10.0
    assert timelines["a"].tokens_per_second[11:] == (None,) * 20
    assert timelines["b"].tokens_per_second[:20] == (None,) * 20


def test_a_run_without_a_token_yet_has_a_speed_of_nothing(phase: PhaseResult) -> None:
    _, timelines = built({"a": host(phase, ends_s=[5.5])})
    assert timelines["a"].tokens_per_second == (0.0,) * 5 + (10.0,) + (0.0,) * 5


def test_what_the_engine_does_not_tell_is_no_series(phase: PhaseResult) -> None:
    _, timelines = built({"a": host(phase)})
    assert (timelines["a"].running, timelines["a"].waiting, timelines["a"].kv_cache) == ((), (), ())


def test_a_long_run_has_longer_bins_of_means(phase: PhaseResult) -> None:
    cpu = [float(second % 2) for second in range(600)]
    ends = [float(second) for second in range(600)]
    axis, timelines = built({"a": host(phase, seconds=599, ends_s=ends, cpu=cpu)})
    assert axis.bin_s == 8
    assert axis.bins <= 120
    assert set(timelines["a"].cpu_percent) == {0.5}
    assert set(timelines["a"].tokens_per_second) == {10.0}


@pytest.mark.parametrize(("hosts", "most"), [*MOST_BINS.items(), (1001, FEWEST_BINS)])
def test_a_large_fleet_has_fewer_bins(phase: PhaseResult, hosts: int, most: int) -> None:
    one = host(phase, seconds=3600)
    axis, _ = built({f"h{number}": one for number in range(hosts)})
    assert most / 2 <= axis.bins <= most


class TestClock:
    def test_that_is_measured_is_put_right(self, phase: PhaseResult) -> None:
        ahead = host(phase, START + DAY, offset_s=86_400.0)
        axis, timelines = built({"a": host(phase), "b": ahead})
        assert axis.bins == 11
        assert timelines["a"] == timelines["b"]
        assert timelines["b"].note == ""

    def test_that_is_known_to_be_wrong_leaves_its_host_off_the_axis(
        self, phase: PhaseResult
    ) -> None:
        near = host(phase, START + timedelta(seconds=100))
        axis, timelines = built({"a": host(phase), "b": near}, b=100.0)
        assert axis.bins == 11
        assert timelines["b"].tokens_per_second == (None,) * 11
        assert timelines["b"].note == "not on the axis: its clock is wrong by 100 s or more"

    @pytest.mark.parametrize("away", [DAY, -DAY, 3650 * DAY])
    def test_far_from_the_others_does_not_stretch_the_axis(
        self, phase: PhaseResult, away: timedelta
    ) -> None:
        axis, timelines = built(
            {"a": host(phase), "b": host(phase), "c": host(phase, START + away)}
        )
        assert (axis.start_utc, axis.bins) == (START, 11)
        assert timelines["c"].tokens_per_second == (None,) * 11
        assert f"{START + away:%Y-%m-%d}" in timelines["c"].note

    def test_of_no_host_that_is_right_leaves_no_axis(self, phase: PhaseResult) -> None:
        assert build_timelines({"a": host(phase)}, {"a": 99.0}) == (None, {})


def test_a_host_that_was_resumed_a_day_later_shows_what_is_on_the_axis(phase: PhaseResult) -> None:
    resumed = (*host(phase), *host(phase, START + DAY))
    axis, timelines = built({"a": host(phase), "b": resumed})
    assert axis.bins == 11
    assert timelines["b"].tokens_per_second == timelines["a"].tokens_per_second
    assert "not all of it is on the axis" in timelines["b"].note


def test_without_a_run_there_is_no_axis() -> None:
    assert build_timelines({"a": ()}, {}) == (None, {})


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6), st.data())
def test_the_order_of_hosts_does_not_matter(
    phase: PhaseResult, starts: list[int], data: st.DataObject
) -> None:
    traces = {
        f"h{number}": host(phase, START + timedelta(seconds=second))
        for number, second in enumerate(starts)
    }
    shuffled = data.draw(st.permutations(list(traces)))
    axis, timelines = build_timelines({name: traces[name] for name in shuffled}, {})
    assert (axis, timelines) == build_timelines(traces, {})


@given(st.floats(1, 1e5), st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_no_token_is_lost(phase: PhaseResult, seconds: float, shares: list[float]) -> None:
    ends = [share * (seconds - 0.5) for share in shares]
    axis, timelines = built({"a": host(phase, seconds=seconds, ends_s=ends)})
    total = sum(value or 0.0 for value in timelines["a"].tokens_per_second) * axis.bin_s
    assert total == pytest.approx(10 * len(ends), abs=0.05 * axis.bins * axis.bin_s)

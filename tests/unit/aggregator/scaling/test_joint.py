"""Samples of several hosts on the controller's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import PHASES, SAMPLES
from loadfleet_aggregator.collect import SeenClock, note_host
from loadfleet_aggregator.fleet.clock import ClockReading
from loadfleet_aggregator.fleet.common_start import HostStart, note_start
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.samples.read import Samples, read_samples
from loadfleet_aggregator.scaling.joint import TICK_NS, HostWork, host_work, joint_throughput

from ..helpers import HostRun, make_run

SECOND_NS = 10**9
EPOCH_S = 1_800_000_000
AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
PHASE = "offline-performance"


def work(
    host: str,
    start_s: float,
    ends_s: list[float],
    error_s: float | None = 0.001,
    start: HostStart | None = None,
) -> HostWork:
    """A sample of 100 tokens ends at each of these moments."""
    ends = [round((end - start_s) * SECOND_NS / TICK_NS) for end in ends_s]
    return HostWork(
        host=host,
        start_ns=EPOCH_S * SECOND_NS + round(start_s * SECOND_NS),
        last_token_ticks=np.array(ends, np.uint32),
        output_tokens=np.full(len(ends), 100, np.uint32),
        clock_error_s=error_s,
        start=start,
    )


def told(host: str, at: datetime | None = AT, reason: str = "") -> HostStart:
    return HostStart(host=host, phase=PHASE, at_utc=at, reason=reason)


def test_only_what_ended_in_the_common_window_counts() -> None:
    """a from 0 to 10 s, b from 2 to 8 s: the window is 2 to 8 s."""
    found = joint_throughput([work("a", 0, [1, 2, 3, 7, 8, 9, 10]), work("b", 2, [4, 6, 8])])
    # Of a those at 3, 7, 8 (2 is not after the begin), of b all three.
    assert found.tokens_per_second == pytest.approx(600 / 6)
    assert found.samples_per_second == pytest.approx(1.0)
    assert (found.window_end_utc - found.window_start_utc).total_seconds() == 6
    assert found.makespan_s == 10
    assert found.makespan_tokens_per_second == pytest.approx(1000 / 10)
    assert found.start_skew_s == 2
    assert found.imbalance == pytest.approx(10 / 8 - 1)
    assert not found.synchronised
    assert found.note == (
        "each host started by itself (loadfleet_sync_start); "
        "the last host started 2.0 s after the first; "
        # Those of a at 9 and 10 s, of ten samples.
        "20.0% of the tokens belong to answers that ended after the window: "
        "they count when they end, so a short run makes the common window's figure low"
    )


def test_told_one_moment_they_are_synchronised() -> None:
    found = joint_throughput(
        [
            work("a", 0, [1, 5], error_s=0.002, start=told("a")),
            work("b", 0.01, [1, 5], error_s=0.004, start=told("b")),
        ]
    )
    assert found.synchronised
    assert (found.note, found.clock_error_s) == ("", 0.004)


@pytest.mark.parametrize(
    ("other", "note"),
    [
        (told("b", None, "too late"), "b started by itself: too late"),
        (None, "b started by itself: not held"),
        (told("b", AT + timedelta(hours=1)), "not all at one moment: there were 2"),
    ],
)
def test_otherwise_it_says_why_not(other: HostStart | None, note: str) -> None:
    found = joint_throughput(
        [work("a", 0, [1, 5], start=told("a")), work("b", 0, [1, 5], start=other)]
    )
    assert not found.synchronised
    assert note in found.note


def test_hosts_centuries_apart_are_no_error() -> None:
    far = replace(work("b", 0, [1, 5]), start_ns=200 * 365 * 86_400 * SECOND_NS)
    found = joint_throughput([work("a", 0, [1, 5]), far])
    assert found.tokens_per_second is None
    assert found.makespan_s > 10**9


def test_without_a_common_window_there_is_no_rate() -> None:
    found = joint_throughput([work("a", 0, [1, 2]), work("b", 5, [6, 7], error_s=None)])
    assert found.tokens_per_second is None
    assert found.clock_error_s is None
    assert "no host ran while all others did" in found.note
    assert "the clock of b was not measured" in found.note
    assert found.makespan_tokens_per_second == pytest.approx(400 / 7)


def test_a_host_whose_samples_tell_nothing_is_named() -> None:
    found = joint_throughput(
        [work("a", 0, [1, 5], start=told("a")), work("b", 0, [1, 5], start=told("b"))],
        ["c: samples.parquet: cut off"],
    )
    assert (found.hosts, found.synchronised) == (2, False)
    assert found.note == "without c: samples.parquet: cut off"


class TestOfRealRuns:
    @staticmethod
    def phase(run: HostRun) -> PhaseResult:
        result = HostResult.model_validate_json((run.folder / "result.json").read_bytes())
        return result.phases[0]

    @staticmethod
    def samples(run: HostRun) -> Samples:
        phase = TestOfRealRuns.phase(run)
        path = run.folder / PHASES / phase.name / SAMPLES
        return read_samples(path, phase.samples, answers=False)

    def test_times_are_those_of_the_run_less_the_offset(self, host_a: HostRun) -> None:
        phase = self.phase(host_a)
        samples = self.samples(host_a)
        plain = host_work("host-a", phase, samples, ClockReading(0.0, 0.01), None)
        moved = host_work("host-a", phase, samples, ClockReading(1.5, 0.01), None)
        assert isinstance(plain, HostWork)
        assert isinstance(moved, HostWork)
        assert plain.output_tokens.size == phase.samples
        start_s, end_s = phase.started_utc.timestamp(), phase.ended_utc.timestamp()
        assert plain.start_ns / SECOND_NS == pytest.approx(start_s, abs=1e-6)
        assert plain.start_ns < plain.end_ns
        assert plain.end_ns / SECOND_NS <= end_s + 0.05
        assert plain.end_ns - moved.end_ns == 1_500_000_000
        assert plain.start_ns - moved.start_ns == 1_500_000_000

    @pytest.mark.parametrize("moved_ns", [3600 * SECOND_NS, -10 * 86_400 * SECOND_NS, 2**70])
    def test_samples_of_another_time_tell_nothing(self, host_a: HostRun, moved_ns: int) -> None:
        phase = self.phase(host_a)
        assert phase.started_monotonic_ns is not None
        other = phase.model_copy(
            update={
                "started_monotonic_ns": phase.started_monotonic_ns + moved_ns,
                "ended_utc": phase.ended_utc + timedelta(days=30),
            }
        )
        found = host_work("host-a", other, self.samples(host_a), None, None)
        assert found == "samples.parquet: a last token lies outside of the run"

    @pytest.mark.parametrize("year", [1, 1970, 9999])
    def test_a_host_of_another_age_tells_nothing(self, host_a: HostRun, year: int) -> None:
        phase = self.phase(host_a)
        there = {"started_utc": phase.started_utc.replace(year=year)}
        found = host_work(
            "host-a", phase.model_copy(update=there), self.samples(host_a), None, None
        )
        assert found == f"its clock says that it is the year {year}"

    def test_a_host_without_tokens_tells_nothing(self, host_a: HostRun) -> None:
        samples = self.samples(host_a)
        silent = replace(samples, output_tokens=np.zeros_like(samples.output_tokens))
        found = host_work("host-a", self.phase(host_a), silent, None, None)
        assert found == "samples.parquet: no sample has an output token"

    def test_a_host_that_took_no_time_tells_nothing(self, host_a: HostRun) -> None:
        phase, samples = self.phase(host_a), self.samples(host_a)
        assert phase.started_monotonic_ns is not None
        at_once = np.full_like(samples.last_token_ns, phase.started_monotonic_ns + TICK_NS - 1)
        found = host_work("host-a", phase, replace(samples, last_token_ns=at_once), None, None)
        assert found == "samples.parquet: all samples ended as the run started"

    def test_without_its_monotonic_clock_there_is_nothing(self, host_a: HostRun) -> None:
        old = self.phase(host_a).model_copy(update={"started_monotonic_ns": None})
        found = host_work("host-a", old, self.samples(host_a), None, None)
        assert found == "it does not tell its monotonic clock"

    def test_the_report_has_clocks_and_joint_throughput(
        self, host_a: HostRun, host_b: HostRun, tmp_path: Path
    ) -> None:
        folder = make_run(tmp_path, [host_a, host_b])
        for name, offset_s in (("host-a", 0.25), ("host-b", -3600.0)):
            note_host(folder, name, ("collected", "", ""), SeenClock(offset_s, 0.01, True))
            note_start(folder, told(name))
        report = build_report(folder)
        hosts = {host.name: host for host in report.hosts}
        assert (hosts["host-a"].clock_offset_s, hosts["host-a"].clock_error_s) == (0.25, 0.01)
        assert hosts["host-a"].warnings == ()
        assert hosts["host-b"].warnings == (
            "its clock is 3600.0 s behind the controller's: set both by NTP "
            "(timedatectl set-ntp true)",
        )
        joint = {item.scenario.value: item.joint for item in report.scenarios}
        offline, server = joint["Offline"], joint["Server"]
        assert offline is not None
        assert server is not None
        assert (offline.hosts, offline.synchronised, server.synchronised) == (2, True, False)
        assert offline.clock_error_s == 0.01
        # The runs were made at about one time; by these clocks they were not.
        assert offline.start_skew_s > 1800

    def test_of_one_valid_host_there_is_none(self, host_a: HostRun, tmp_path: Path) -> None:
        report = build_report(make_run(tmp_path, [host_a]))
        assert [item.joint for item in report.scenarios] == [None, None]


class TestClockNote:
    @staticmethod
    def noted(folder: Path) -> float | None:
        from loadfleet_aggregator.fleet.record import ControllerNote

        text = (folder / "controller" / "a.json").read_bytes()
        return ControllerNote.model_validate_json(text).clock_offset_s

    def test_that_of_a_later_day_does_not_count(self, tmp_path: Path) -> None:
        seen = ("collected", "", "")
        for clock, offset_s in (
            (None, None),
            (SeenClock(3.0, 0.1, False), 3.0),
            (SeenClock(0.5, 0.1, True), 0.5),
            (SeenClock(9.0, 0.1, False), 0.5),
            (None, 0.5),
            (SeenClock(0.7, 0.1, True), 0.7),
        ):
            note_host(tmp_path, "a", seen, clock)
            assert self.noted(tmp_path) == offset_s

"""What a page shows of a fleet: the worst first, and no more than fits."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.views.accuracy import agreement_views, pooled_views, score_rows
from loadfleet_aggregator.report.views.answer import Outcome, find_answer
from loadfleet_aggregator.report.views.differences import MOST_VALUES, differing_facts
from loadfleet_aggregator.report.views.fleet import cells, host_columns
from loadfleet_aggregator.report.views.gpus import gpu_view
from loadfleet_aggregator.report.views.hosts import clock, host_sections
from loadfleet_aggregator.report.views.latency import latency_views
from loadfleet_aggregator.report.views.listing import ALL_LISTED
from loadfleet_aggregator.report.views.standing import Standing, place_hosts
from loadfleet_aggregator.report.views.throughput import throughput_views
from loadfleet_aggregator.report.views.timeline import runs_of, timeline_view
from loadfleet_aggregator.report.views.versions import version_rows

from ...filled import filled_fleet
from ...fleets import changed_host, rouge, single_stream


class TestStanding:
    def test_the_worst_come_first(self, eight: FleetReport) -> None:
        placed = place_hosts(eight)
        assert [(host.name, host.standing.value) for host in placed][:5] == [
            ("gpu-5", "failed"),
            ("gpu-6", "unreachable"),
            ("gpu-7", "not valid"),
            ("gpu-3", "ok, flagged"),
            ("gpu-4", "ok, flagged"),
        ]
        assert placed[-1].standing is Standing.NOT_SELECTED
        assert sorted(host.name for host in placed) == [host.name for host in eight.hosts]

    def test_hosts_without_a_flag_are_ordered_by_speed(self, large: FleetReport) -> None:
        paces = [h.pace for h in place_hosts(large) if h.standing is Standing.OK and h.pace]
        assert len(paces) > 100
        assert paces == sorted(paces)

    def test_a_slow_host_is_told_against_the_median(self, eight: FleetReport) -> None:
        (slow,) = (host for host in place_hosts(eight) if host.name == "gpu-3")
        assert slow.pace == pytest.approx(0.93, abs=0.02)
        assert "thermal throttling" in slow.why
        assert "look at fans" in slow.hint

    def test_hosts_on_one_machine_have_no_pace(self, h100_report: FleetReport) -> None:
        report = filled_fleet(h100_report, 2)
        for name, other in (("gpu-1", "gpu-2"), ("gpu-2", "gpu-1")):
            report = changed_host(report, name, shares_machine_with=(other,))
        assert [host.pace for host in place_hosts(report)] == [None, None]

    def test_single_stream_is_told_by_its_latency(self, h100_report: FleetReport) -> None:
        report = single_stream(filled_fleet(h100_report, 3))
        paces = {host.name: host.pace for host in place_hosts(report)}
        latency = {
            host.name: host.phases[0].latency.percentiles["90.00"]  # type: ignore[union-attr]
            for host in report.hosts
        }
        assert max(paces, key=lambda name: paces[name] or 0) == min(
            latency, key=latency.__getitem__
        )


class TestAnswer:
    def test_a_fleet_with_a_failed_host_fails(self, eight: FleetReport) -> None:
        answer = find_answer(eight, place_hosts(eight))
        assert answer.outcome is Outcome.FAIL
        assert answer.summary == (
            "4 of 7 hosts ok, 1 failed, 1 unreachable, 1 not valid; 2 of the ok ones flagged"
        )

    def test_the_slow_host_is_named_beside_the_failed(self, eight: FleetReport) -> None:
        answer = find_answer(eight, place_hosts(eight))
        assert [host.name for host in answer.worst] == ["gpu-5", "gpu-6", "gpu-3"]
        assert answer.more == 2

    def test_a_flag_asks_for_attention_and_nothing_for_none(self, h100_report: FleetReport) -> None:
        fine = filled_fleet(h100_report, 8, troubled=False)
        placed = place_hosts(fine)
        assert find_answer(fine, placed).outcome is Outcome.PASS
        assert find_answer(fine, placed).worst == ()
        flag = filled_fleet(h100_report, 8).flags[0]
        flagged = fine.model_copy(update={"flags": (flag,)})
        answer = find_answer(flagged, place_hosts(flagged))
        assert answer.outcome is Outcome.ATTENTION
        assert [host.name for host in answer.worst] == [flag.host]

    def test_the_numbers_are_the_reports(self, eight: FleetReport) -> None:
        figures = find_answer(eight, place_hosts(eight)).figures
        assert [figure.title for figure in figures] == ["Offline", "Server"]
        for figure, scenario in zip(figures, eight.scenarios, strict=True):
            assert figure.value == f"{scenario.aggregate_tokens_per_second:,.1f}"
            assert scenario.joint
            assert f"{scenario.joint.tokens_per_second:,.1f} at one time" in figure.together

    def test_hosts_that_share_a_machine_have_no_sum(self, eight: FleetReport) -> None:
        scenario = eight.scenarios[0].model_copy(
            update={"aggregate_tokens_per_second": None, "joint": None}
        )
        report = eight.model_copy(update={"scenarios": (scenario,)})
        (figure,) = find_answer(report, place_hosts(report)).figures
        assert " to " in figure.value
        assert "no sum" in figure.note

    @pytest.mark.parametrize(
        ("accuracy", "passed", "words"),
        [
            (rouge(True), True, "passed on all 5 hosts"),
            (rouge(False, "rouge1 below"), False, "missed on 1 of 5 hosts"),
            (rouge(None, "short"), True, "passed on all 5 hosts"),
        ],
    )
    def test_accuracy_is_told_in_a_word(
        self, eight: FleetReport, accuracy: object, passed: bool, words: str
    ) -> None:
        report = changed_host(eight, "gpu-1", accuracy=accuracy)
        answer = find_answer(report, place_hosts(report))
        assert answer.accuracy_passed is passed
        assert words in answer.accuracy[0]

    def test_the_least_agreeing_host_and_the_model_are_named(self, eight: FleetReport) -> None:
        answer = find_answer(eight, place_hosts(eight))
        assert answer.accuracy[-1] == (
            "Offline: at least 98.91 % of a host's answers are those that most hosts gave"
        )
        assert answer.models == "meta-llama/Llama-3.1-8B-Instruct"

    def test_full_agreement_is_told_in_words(self, eight: FleetReport) -> None:
        (agreement,) = eight.agreement
        same = tuple(host.model_copy(update={"identical": 1.0}) for host in agreement.hosts)
        report = eight.model_copy(
            update={"agreement": (agreement.model_copy(update={"hosts": same}),)}
        )
        answer = find_answer(report, place_hosts(report))
        assert answer.accuracy[-1] == "Offline: all hosts gave the same answers"


class TestListing:
    def test_a_small_fleet_is_listed_whole(self, eight: FleetReport) -> None:
        placed = place_hosts(eight)
        (offline, server) = throughput_views(eight, placed)
        assert len(offline.rows.rows) == len(server.rows.rows) == 5
        assert (offline.rows.left_out, offline.histogram, offline.fleet) == (0, None, None)

    def test_a_large_fleet_names_those_that_want_a_look_and_sums_up(
        self, large: FleetReport
    ) -> None:
        placed = place_hosts(large)
        offline = throughput_views(large, placed)[0]
        names = {row.host.name for row in offline.rows.rows}
        assert names == {"gpu-003", "gpu-004", "gpu-007"}
        assert len(names) + offline.rows.left_out == len(offline.scenario.hosts) > ALL_LISTED
        assert offline.histogram
        assert {mark.label for mark in offline.histogram.marked} == names
        speeds = sorted(h.tokens_per_second for h in offline.scenario.hosts if h.valid)
        assert offline.fleet
        assert (offline.fleet.low, offline.fleet.high) == (speeds[0], speeds[-1])
        assert len(score_rows(placed).rows) == 3

    def test_charts_of_a_large_fleet_have_a_band(self, large: FleetReport) -> None:
        placed = place_hosts(large)
        for view in latency_views(placed):
            assert view.chart
            assert view.in_band == 117
            assert [line.series.name for line in view.chart.lines] == [
                "gpu-007", "gpu-003", "gpu-004",
            ]  # fmt: skip
        timeline = timeline_view(large, placed)
        assert timeline
        assert timeline.in_band == 117

    def test_full_sections_are_those_that_want_a_look(self, large: FleetReport) -> None:
        sections = host_sections(large, place_hosts(large))
        full = {section.host.name for section in sections.sections if section.full}
        assert full == {f"gpu-00{number}" for number in (3, 4, 5, 6, 7)}
        assert sections.compact == 119 - 5
        assert all(section.timeline is None for section in sections.sections if not section.full)


class TestLatency:
    def test_the_bound_and_the_limit_stand_beside_loadgens_p99(self, eight: FleetReport) -> None:
        views = {view.title: view for view in latency_views(place_hosts(eight))}
        assert list(views) == [
            "Offline whole answer", "Server TTFT", "Server TPOT", "Server whole answer",
        ]  # fmt: skip
        assert [title for title, view in views.items() if view.leads] == [
            "Server TTFT", "Server TPOT",
        ]  # fmt: skip
        ttft = views["Server TTFT"]
        assert ttft.limit_ns == 2_000_000_000
        for row in ttft.rows.rows:
            (run,) = (p for p in row.host.host.phases if p.scenario is Scenario.SERVER)
            assert run.ttft
            assert row.loadgen == run.ttft
            assert row.bound_ns
            assert row.bound_ns > run.ttft.percentiles["99.00"]
            assert row.within

    def test_runs_without_samples_say_why(self, eight: FleetReport) -> None:
        hosts = tuple(
            host.model_copy(
                update={
                    "phases": tuple(
                        phase.model_copy(update={"curves": (), "no_curves": "no samples.parquet"})
                        for phase in host.phases
                    )
                }
            )
            for host in eight.hosts
        )
        for view in latency_views(place_hosts(eight.model_copy(update={"hosts": hosts}))):
            assert view.chart is None
            assert view.no_curves == ("no samples.parquet",)
            assert all(row.drawn for row in view.rows.rows)


class TestTimeline:
    def test_runs_are_told_by_the_controllers_clock(self, eight: FleetReport) -> None:
        report = changed_host(eight, "gpu-1", clock_offset_s=2.5)
        (host,) = (host for host in place_hosts(report) if host.name == "gpu-1")
        first = runs_of(host)[0]
        assert (host.host.phases[0].started_utc - first.start).total_seconds() == 2.5

    def test_the_means_are_those_of_each_run(self, eight: FleetReport) -> None:
        view = timeline_view(eight, place_hosts(eight))
        assert view
        output = [title for title, _ in view.heads].index("output")
        for row in view.means:
            (phase,) = (p for p in row.host.host.phases if p.name == row.run)
            assert row.means[output] == pytest.approx(phase.tokens_per_second, rel=0.05)

    def test_there_is_none_without_an_axis(self, h100_report: FleetReport) -> None:
        report = h100_report.model_copy(update={"axis": None})
        assert timeline_view(report, place_hosts(report)) is None


class TestAccuracy:
    def test_margins_are_over_the_least_that_passes(self, eight: FleetReport) -> None:
        (view,) = pooled_views(eight)
        assert view.margins
        for row in view.rows:
            assert row.least is not None
            assert row.margin == pytest.approx(row.pooled - row.least, abs=1e-4)
            assert row.hosts.low <= row.pooled <= row.hosts.high

    def test_scores_without_targets_have_no_margin(self, eight: FleetReport) -> None:
        pooled = eight.pooled_accuracy[0].model_copy(
            update={"margins": {}, "passed": None, "reason": "synthetic"}
        )
        (view,) = pooled_views(eight.model_copy(update={"pooled_accuracy": (pooled,)}))
        assert {(row.least, row.margin, row.drawn.least) for row in view.rows} == {
            (None, None, None)
        }

    def test_the_least_agreeing_host_has_the_longest_bar(self, eight: FleetReport) -> None:
        (view,) = agreement_views(eight)
        (host, bar), *others = view.hosts
        assert (host.host, bar) == ("gpu-7", 100)
        assert all(other < 10 for _, other in others)


class TestFacts:
    def test_the_commonest_value_comes_first_and_long_lists_are_cut(
        self, large: FleetReport
    ) -> None:
        facts = {fact.name: fact for fact in differing_facts(large)}
        driver = facts["host: nvidia_driver"]
        assert [(value.text, value.hosts) for value in driver.values] == [
            ("580.65.06", 118),
            ("535.183.01", 1),
        ]
        assert driver.values[0].names.endswith("and 112 more")
        assert driver.values[1].names == "gpu-004"

    def test_a_fact_with_many_values_is_cut(self, eight: FleetReport) -> None:
        item = eight.differences[0].model_copy(
            update={"values": {f"value {n}": (f"gpu-{n}",) for n in range(9)}}
        )
        (fact,) = differing_facts(eight.model_copy(update={"differences": (item,)}))
        assert (len(fact.values), fact.more) == (MOST_VALUES, 9 - MOST_VALUES)

    def test_what_all_share_is_told_once(self, eight: FleetReport) -> None:
        sections = host_sections(eight, place_hosts(eight))
        (first,) = (s for s in sections.sections if s.host.name == "gpu-1")
        assert first.own_facts["host: hostname"] == "gpu-1"
        assert not set(first.own_facts) & set(sections.common_facts)
        assert any(fact.startswith("engine: ") for fact in sections.common_facts)

    def test_hosts_with_the_same_versions_are_one_row(self, large: FleetReport) -> None:
        (row,) = version_rows(large)
        assert row.hosts == 117

    def test_a_clock_is_told_with_its_error(self, eight: FleetReport) -> None:
        report = changed_host(eight, "gpu-1", clock_offset_s=-0.00213, clock_error_s=0.0006)
        assert clock(report.hosts[0]) == "-2.1 ms \N{PLUS-MINUS SIGN} 0.6 ms"
        assert clock(eight.hosts[-1]) == ""


class TestFleet:
    def test_cells_have_a_shade_by_their_speed(self, eight: FleetReport) -> None:
        by_name = {cell.host.name: cell for cell in cells(place_hosts(eight))}
        assert "gpu-8" not in by_name
        assert by_name["gpu-5"].shade is None
        assert by_name["gpu-3"].shade in (0, 1)
        assert by_name["gpu-1"].shade in (3, 4, 5)
        assert by_name["gpu-1"].title.startswith("gpu-1: ok, ")

    def test_columns_are_those_of_the_scenarios(self, eight: FleetReport) -> None:
        assert [column.label for column in host_columns(eight)] == [
            "Offline tokens/s", "Server tokens/s", "Server TTFT p99 ms", "Server TPOT p99 ms",
        ]  # fmt: skip


class TestGpus:
    def test_bars_share_an_axis_that_holds_the_limit(self, eight: FleetReport) -> None:
        view = gpu_view(eight, place_hosts(eight))
        for row in view.limits.rows:
            assert row.run.limit
            assert row.bar == pytest.approx(row.run.limit.reached * 100, abs=0.01)
            assert row.track == 100
        assert view.prices == ("2.5 per GPU-hour and 0.3 per kWh",)

    def test_a_run_above_its_limit_stays_in_its_chart(self, h100_report: FleetReport) -> None:
        (host,) = h100_report.hosts
        first = host.phases[0]
        assert first.limit
        limit = first.limit.model_copy(update={"reached": 1.5})
        phases = (first.model_copy(update={"limit": limit}), *host.phases[1:])
        report = changed_host(h100_report, host.name, phases=phases)
        view = gpu_view(report, place_hosts(report))
        assert view.above
        assert (view.limits.rows[0].bar, view.limits.rows[0].track) == (100, 66.67)

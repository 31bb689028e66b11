"""A fleet's runs stand in a line where they can be compared, and nowhere else."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.fleet.record import RUN_RECORD
from loadfleet_aggregator.history.build import build_history
from loadfleet_aggregator.history.model import History, HistoryPoint
from loadfleet_aggregator.history.read import read_reports
from loadfleet_aggregator.history.render import render_text
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.read import ReportUnreadable
from loadfleet_aggregator.text.terminal import BARS, sparkline

from .fleets import changed_host, fleet_of, lost, single_stream, without
from .helpers import CREATED, make_run
from .report.gpu_hosts import gpu_host
from .test_cli import loadfleet


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    home = tmp_path_factory.mktemp("past")
    return build_report(make_run(home / "results", [gpu_host(home / "run", "gpu-01")]))


@pytest.fixture
def past(one_host: FleetReport) -> list[FleetReport]:
    """Four days: a fleet of two, the same 10 % slower, three hosts, one of them lost."""
    return [
        on_day(1, fleet_of(one_host, {"a": 1, "b": 1.01})),
        on_day(2, fleet_of(one_host, {"a": 0.9, "b": 0.91})),
        on_day(3, fleet_of(one_host, {"a": 0.9, "b": 0.91, "c": 0.92})),
        on_day(4, lost(fleet_of(one_host, {"a": 0.9, "b": 0.91, "c": 0.92}), "b")),
    ]


def on_day(day: int, report: FleetReport, **changes: Any) -> FleetReport:
    update = {"run_id": f"day-{day}", "created_utc": CREATED + timedelta(days=day)}
    return report.model_copy(update=update | changes)


def points(history: History, scenario: Scenario = Scenario.OFFLINE) -> tuple[HistoryPoint, ...]:
    (series,) = (item for item in history.series if item.scenario is scenario)
    return series.points


def tokens(report: FleetReport) -> float:
    """Per second of the only host, Offline."""
    value = report.hosts[0].phases[0].tokens_per_second
    assert value
    return value


class TestSeries:
    def test_has_the_sum_where_all_hosts_are_valid_and_the_median(
        self, past: list[FleetReport], one_host: FleetReport
    ) -> None:
        speed = tokens(one_host)
        found = points(build_history(past))
        assert [point.run_id for point in found] == ["day-1", "day-2", "day-3", "day-4"]
        sums = [speed * 2.01, speed * 1.81, speed * 2.73]
        assert [point.total for point in found[:3]] == pytest.approx(sums)
        assert found[3].total is None
        assert (tuple(found[3].values), found[3].expected) == (("a", "c"), ("a", "b", "c"))
        medians = [1.005, 0.905, 0.91, 0.91]
        assert [point.median / speed for point in found] == pytest.approx(medians)

    def test_marks_what_moved_by_more_than_its_spread(self, past: list[FleetReport]) -> None:
        found = points(build_history(past))
        assert [point.moved for point in found] == [False, True, False, False]
        assert found[0].ratio is None
        assert found[1].ratio == pytest.approx(0.9, rel=1e-2)
        assert found[1].interval is not None
        assert found[1].interval.high < 1

    def test_tells_which_hosts_came_and_went(self, past: list[FleetReport]) -> None:
        found = points(build_history([*past, on_day(5, past[0])]))
        assert [point.joined for point in found] == [(), (), ("c",), (), ()]
        assert [point.left for point in found] == [(), (), (), (), ("c",)]

    @pytest.mark.parametrize("seed", range(3))
    def test_is_in_the_order_of_time_however_it_is_read(
        self, past: list[FleetReport], seed: int
    ) -> None:
        shuffled = random.Random(seed).sample(past, len(past))
        assert build_history(shuffled) == build_history(past)

    def test_has_no_sum_where_hosts_share_a_machine_or_of_a_latency(
        self, past: list[FleetReport]
    ) -> None:
        shared = changed_host(past[0], "a", shares_machine_with=("b",))
        assert points(build_history([shared]))[0].total is None
        (point,) = points(build_history([single_stream(past[0])]), Scenario.SINGLE_STREAM)
        assert point.total is None
        assert not point.moved

    def test_has_no_sum_of_hosts_with_different_plans(self, past: list[FleetReport]) -> None:
        mixed = changed_host(past[0], "a", group="B")
        plans = mixed.plans | {"B": next(iter(mixed.plans.values()))}
        (point,) = points(build_history([mixed.model_copy(update={"plans": plans})]))
        assert point.total is None
        assert set(point.values) == {"a", "b"} | set(point.values)

    def test_tells_what_changed_since_the_run_before(self, past: list[FleetReport]) -> None:
        facts = past[0].hosts[0].facts | {"nvidia_driver": "999"}
        new = on_day(5, changed_host(past[0], "a", facts=facts))
        (first, second) = points(build_history([past[0], new]))
        assert first.changed == ()
        (item,) = second.changed
        assert (item.name, item.new, item.hosts) == ("host: nvidia_driver", "999", ("a",))
        assert "host: nvidia_driver: was" in render_text(build_history([past[0], new]))


class TestApart:
    @pytest.mark.parametrize("changes", [{"labels": ("short",)}, {"labels": ("rebuilt-dataset",)}])
    def test_are_runs_with_other_labels(
        self, past: list[FleetReport], changes: dict[str, Any]
    ) -> None:
        other = past[1]
        for name in ("a", "b"):
            other = changed_host(other, name, **changes)
        found = build_history([past[0], other, on_day(5, past[0])], scenario=Scenario.OFFLINE)
        runs = [[point.run_id for point in series.points] for series in found.series]
        assert runs == [["day-1", "day-5"], ["day-2"]]
        assert found.series[0].points[1].ratio == 1

    def test_are_runs_of_another_model_samples_or_suite(self, past: list[FleetReport]) -> None:
        host = past[0].hosts[0]
        assert host.model
        assert host.dataset
        only = build_history([past[0]], host="a", scenario=Scenario.SERVER)
        assert len(only.series) == 1
        model = host.model.model_copy(update={"tokenizer_sha256": "f" * 64})
        dataset = host.dataset.model_copy(update={"library_sha256": "f" * 64})
        plans = {group: plan | {"suite": "edge"} for group, plan in past[0].plans.items()}
        others = (
            changed_host(past[1], "a", model=model),
            changed_host(past[1], "a", dataset=dataset),
            past[1].model_copy(update={"plans": plans}),
        )
        for other in others:
            found = build_history([past[0], other], host="a", scenario=Scenario.SERVER)
            assert [len(series.points) for series in found.series] == [1, 1]

    def test_are_hosts_of_one_run_that_ran_something_else(self, past: list[FleetReport]) -> None:
        mixed = changed_host(past[0], "b", labels=("short",))
        found = build_history([mixed], scenario=Scenario.OFFLINE)
        expected = [series.points[0].expected for series in found.series]
        assert expected == [("a",), ("b",)]

    def test_are_scenarios(self, past: list[FleetReport]) -> None:
        found = build_history([past[0], without(past[1], Scenario.SERVER)])
        runs = {item.scenario.value: len(item.points) for item in found.series}
        assert runs == {"Offline": 2, "Server": 1}


class TestHost:
    def test_is_shown_alone_and_nothing_is_marked(self, past: list[FleetReport]) -> None:
        found = build_history(past, host="b", scenario=Scenario.OFFLINE)
        assert [point.run_id for point in points(found)] == ["day-1", "day-2", "day-3"]
        assert all(tuple(point.values) == ("b",) for point in points(found))
        assert points(found)[1].ratio == pytest.approx(0.91 / 1.01)
        assert not any(point.moved for point in points(found))
        (skipped,) = found.skipped
        assert skipped.folder == "day-4"
        assert skipped.reason == "no valid performance run of Offline on b"


@pytest.fixture
def results(past: list[FleetReport], tmp_path: Path) -> Path:
    """A results folder: two reports, a run without one, one of another version, and a link."""
    results = tmp_path / "results"
    for name, text in (
        ("z-first", past[0].model_dump_json()),
        ("a-second", past[1].model_dump_json()),
        ("other", '{"schema_version": 2}'),
    ):
        (results / name).mkdir(parents=True)
        (results / name / "report.json").write_text(text, encoding="utf-8")
    (results / "bare").mkdir()
    (results / "bare" / RUN_RECORD).write_text("{}", encoding="utf-8")
    (results / "not-a-run").mkdir()
    (results / "latest").symlink_to("a-second")
    return results


class TestFolder:
    def test_is_read_in_the_order_of_time_and_names_what_is_skipped(self, results: Path) -> None:
        reports, skipped = read_reports(results)
        assert [report.run_id for report in reports] == ["day-1", "day-2"]
        assert [item.folder for item in skipped] == ["bare", "other"]
        assert skipped[0].reason.startswith("it has no report.json")
        assert "not a report of this version" in skipped[1].reason

    def test_without_a_run_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ReportUnreadable, match="no folder in it is a run's"):
            read_reports(tmp_path)


class TestCommand:
    def test_prints_a_table_a_scenario(self, results: Path) -> None:
        done = loadfleet("history", results)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Offline tokens/s  █▁" in done.stdout
        assert "Server tokens/s  █▁" in done.stdout
        (row,) = (line for line in done.stdout.split("Server")[0].splitlines() if "day-2" in line)
        assert row.endswith("moved")
        assert "bare: it has no report.json" in done.stdout

    def test_prints_one_scenario_as_json(self, results: Path) -> None:
        done = loadfleet("history", results, "--scenario", "server", "--json")
        assert done.returncode == 0
        found = History.model_validate_json(done.stdout)
        assert [series.scenario for series in found.series] == [Scenario.SERVER]
        assert json.loads(done.stdout)["schema_version"] == 1

    def test_trusts_no_text_of_a_report(self, results: Path, past: list[FleetReport]) -> None:
        hostile = on_day(9, fleet_of(past[0].model_copy(update={"hosts": past[0].hosts[:1]}),
                                     {"x\x1b[2J\n# y": 1}))  # fmt: skip
        (results / "hostile").mkdir()
        path = results / "hostile" / "report.json"
        path.write_text(hostile.model_dump_json(), encoding="utf-8")
        done = loadfleet("history", results)
        assert done.returncode == 0
        assert "+ hosts: x\\x1b[2J # y" in done.stdout
        assert all(line.isprintable() for line in done.stdout.splitlines())

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--host", "nobody"], "--host nobody: in no run below"),
            (["--scenario", "Batch"], "Batch"),
        ],
        ids=str,
    )
    def test_refuses_what_no_run_has(self, results: Path, arguments: list[str], words: str) -> None:
        done = loadfleet("history", results, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr

    def test_refuses_a_folder_that_is_not_there_in_one_line(self, tmp_path: Path) -> None:
        done = loadfleet("history", tmp_path / "nowhere")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "nowhere: No such file" in line


def test_a_sparkline_has_a_bar_a_value_between_its_extremes() -> None:
    assert sparkline([1, 3, 2]) == f"{BARS[0]}{BARS[-1]}{BARS[4]}"
    assert sparkline([5, 5]) == BARS[0] * 2
    assert sparkline([]) == ""

"""The report compares like with like, and its numbers are LoadGen's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_agent.contract.run_folder import DETAIL_LOG, HOST_FACTS, PHASES, RESULT
from loadfleet_agent.contract.status import FailureCode, make_failure
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS, PLANS, RUN_RECORD
from loadfleet_aggregator.report.build import build_report, finished_hosts
from loadfleet_aggregator.report.model import FleetReport, HostReport, ScenarioReport
from loadfleet_aggregator.report.render import render_html, render_markdown

from ..helpers import (
    HostRun,
    edit_json,
    logged_value,
    make_note,
    make_plan,
    make_run,
    reseal,
    run_agents,
    snapshot,
)
from .gpu_hosts import H100, POWER_W


def host(report: FleetReport, name: str) -> HostReport:
    (found,) = (item for item in report.hosts if item.name == name)
    return found


def scenario(report: FleetReport, name: str, group: str = "A") -> ScenarioReport:
    (found,) = (s for s in report.scenarios if (s.scenario.value, s.group) == (name, group))
    return found


def set_machine_id(folder: Path, machine_id: str) -> None:
    edit_json(folder / HOST_FACTS, lambda facts: facts.update(machine_id=machine_id))
    reseal(folder)


@pytest.fixture
def independent(fleet: Path) -> Path:
    """The fleet as if each host were a machine of its own."""
    for name in ("host-a", "host-b"):
        set_machine_id(fleet / HOSTS / name, f"machine-of-{name}")
    return fleet


class TestCoverage:
    def test_gives_every_host_of_the_inventory_one_verdict(self, fleet: Path) -> None:
        report = build_report(fleet)
        assert [(item.name, str(item.verdict)) for item in report.hosts] == [
            ("host-a", "ok"),
            ("host-b", "ok"),
            ("host-z", "missing: not selected for this run"),
        ]
        assert (report.coverage.inventory, report.coverage.selected) == (3, 2)
        assert sum(report.coverage.counts.values()) == 3
        assert report.all_ok
        assert finished_hosts(report) == {"host-a", "host-b"}

    def test_is_not_all_ok_where_a_selected_host_sent_nothing(
        self, host_a: HostRun, host_b: HostRun, tmp_path: Path
    ) -> None:
        folder = make_run(tmp_path, [host_a, host_b])
        (folder / HOSTS / "host-b").rename(tmp_path / "away")
        report = build_report(folder)
        assert not report.all_ok
        assert report.coverage.counts == {
            "ok": 1,
            "not valid": 0,
            "failed": 0,
            "unreachable": 0,
            "missing": 1,
        }

    def test_is_not_all_ok_where_no_host_was_selected(self, tmp_path: Path) -> None:
        report = build_report(make_run(tmp_path, [], inventory=["host-z"]))
        assert not report.all_ok
        assert report.coverage.selected == 0

    def test_tells_why_the_controller_did_not_reach_a_host(self, fleet: Path) -> None:
        (fleet / HOSTS / "host-b").rename(fleet / "away")
        note = make_note("host-b", "unreachable", "inspect", "Connection refused")
        (fleet / CONTROLLER).mkdir()
        path = fleet / CONTROLLER / "host-b.json"
        path.write_text(note.model_dump_json(), encoding="utf-8")
        verdict = host(build_report(fleet), "host-b").verdict
        assert str(verdict) == "unreachable: inspect: Connection refused"

    def test_tells_why_a_host_failed(self, fleet: Path) -> None:
        failure = make_failure(FailureCode.OUT_OF_GPU_MEMORY, "load", "8 GiB are missing")
        folder = fleet / HOSTS / "host-b"
        edit_json(
            folder / RESULT,
            lambda result: result.update(
                outcome="failed", failure=failure.model_dump(mode="json"), phases=[], accuracy=[]
            ),
        )
        reseal(folder)
        report = build_report(fleet)
        verdict = host(report, "host-b").verdict
        assert str(verdict) == "failed at load because 8 GiB are missing"
        assert verdict.hint == failure.hint
        assert report.headline.startswith("1 of 2 hosts ok")


class TestNumbers:
    @pytest.mark.parametrize(
        ("phase", "keys"),
        [
            ("offline-performance", ("result_tokens_per_second", "result_samples_per_second")),
            (
                "server-performance",
                ("result_completed_tokens_per_second", "result_completed_samples_per_sec"),
            ),
        ],
    )
    def test_are_those_of_loadgens_log(
        self, fleet: Path, phase: str, keys: tuple[str, str]
    ) -> None:
        report = build_report(fleet)
        for name in ("host-a", "host-b"):
            log = fleet / HOSTS / name / PHASES / phase / DETAIL_LOG
            (shown,) = (item for item in host(report, name).phases if item.name == phase)
            # The detail log has six significant digits, the summary two decimals.
            assert shown.tokens_per_second == pytest.approx(
                logged_value(log, keys[0]), rel=1e-5, abs=0.005
            )
            assert shown.samples_per_second == pytest.approx(
                logged_value(log, keys[1]), rel=1e-5, abs=0.005
            )
            assert shown.latency is not None
            assert shown.latency.percentiles["99.00"] == logged_value(
                log, "result_99.00_percentile_latency_ns"
            )

    def test_have_first_token_and_per_token_latencies_of_a_server_run(self, fleet: Path) -> None:
        log = fleet / HOSTS / "host-a" / PHASES / "server-performance" / DETAIL_LOG
        (shown,) = (
            item
            for item in host(build_report(fleet), "host-a").phases
            if item.name == "server-performance"
        )
        assert shown.ttft is not None
        assert shown.tpot is not None
        assert shown.ttft.percentiles["99.00"] == logged_value(
            log, "result_first_token_99.00_percentile_latency_ns"
        )
        assert shown.tpot.percentiles["99.00"] == logged_value(
            log, "result_time_per_output_token_99.00_percentile_ns"
        )

    @pytest.mark.parametrize("name", [DETAIL_LOG, "mlperf_log_summary.txt", "samples.parquet"])
    def test_of_a_damaged_host_are_not_shown(self, fleet: Path, name: str) -> None:
        path = fleet / HOSTS / "host-b" / PHASES / "server-performance" / name
        path.write_bytes(path.read_bytes() + b"\n")
        report = build_report(fleet)
        damaged = host(report, "host-b")
        assert damaged.verdict.kind == "failed"
        assert (damaged.phases, damaged.accuracy) == ((), ())
        assert [item.host for item in scenario(report, "Server").hosts] == ["host-a"]
        assert [item.host for item in scenario(report, "Offline").hosts] == ["host-a"]


class TestGpus:
    def test_have_limit_and_energy_of_each_performance_run(
        self, h100_host: HostRun, tmp_path: Path
    ) -> None:
        report = build_report(make_run(tmp_path, [h100_host]))
        assert [phase.scenario.value for phase in report.hosts[0].phases] == ["Offline", "Server"]
        for phase in report.hosts[0].phases:
            assert phase.limit is not None
            assert phase.limit.gpu == H100["name"]
            assert phase.energy is not None
            assert phase.energy.mean_power_w == POWER_W
            assert phase.cost is None
        assert {"physical limit", "J per output token"} <= set(report.definitions)

    def test_of_a_damaged_host_have_no_numbers(self, h100_host: HostRun, tmp_path: Path) -> None:
        folder = make_run(tmp_path, [h100_host])
        edit_json(folder / HOSTS / "gpu-01" / RESULT, lambda result: result["energy"].pop())
        assert build_report(folder).hosts[0].phases == ()

    def test_are_reckoned_with_the_prices_of_the_record(
        self, h100_host: HostRun, tmp_path: Path
    ) -> None:
        folder = make_run(tmp_path, [h100_host])
        own = {"per_gpu_hour": 2.5, "per_kwh": 0.3}
        edit_json(folder / RUN_RECORD, lambda record: record["hosts"]["gpu-01"].update(prices=own))
        as_run, replaced = (
            build_report(folder, prices).hosts[0].phases[0].cost
            for prices in (None, Prices(per_kwh=0.6))
        )
        assert as_run is not None
        assert replaced is not None
        assert as_run.prices == Prices(**own)
        assert replaced.prices == Prices(per_gpu_hour=2.5, per_kwh=0.6)
        assert replaced.gpus == as_run.gpus
        assert replaced.energy == pytest.approx(2 * (as_run.energy or 0))

    def test_that_there_are_not_have_nothing_of_it(self, fleet: Path) -> None:
        report = build_report(fleet, Prices(per_gpu_hour=1, per_kwh=1))
        for item in report.hosts:
            for phase in item.phases:
                assert (phase.limit, phase.no_limit) == (None, "")
                assert (phase.energy, phase.cost) == (None, None)
        assert "physical limit" not in report.definitions


class TestSum:
    def test_is_not_made_over_hosts_that_share_a_machine(self, fleet: Path) -> None:
        for name in ("host-a", "host-b"):
            set_machine_id(fleet / HOSTS / name, "one-machine")
        report = build_report(fleet)
        assert host(report, "host-a").shares_machine_with == ("host-b",)
        assert len(report.scenarios) == 2
        for item in report.scenarios:
            assert item.valid_hosts == 2
            assert item.aggregate_tokens_per_second is None
            assert item.aggregate_samples_per_second is None
            assert "host-a, host-b share a machine" in item.note
            assert "no sum" in item.note
        assert "tokens/s" not in report.headline

    def test_over_independent_hosts_is_the_sum_of_their_logs(self, independent: Path) -> None:
        report = build_report(independent)
        for name, phase, key in (
            ("Offline", "offline-performance", "result_tokens_per_second"),
            ("Server", "server-performance", "result_completed_tokens_per_second"),
        ):
            item = scenario(report, name)
            total = sum(
                logged_value(independent / HOSTS / h / PHASES / phase / DETAIL_LOG, key)
                for h in ("host-a", "host-b")
            )
            assert item.aggregate_tokens_per_second == pytest.approx(total, rel=1e-5)
            assert item.note.startswith("aggregate capacity of 2 independent hosts")
            assert "not an MLPerf result" in item.note
        assert "on 2 hosts" in report.headline

    def test_is_not_made_over_hosts_that_share_a_gpu(self, independent: Path) -> None:
        gpu = {"index": 0, "name": "NVIDIA A30", "uuid": "GPU-1", "memory_mib": 24576}
        for name in ("host-a", "host-b"):
            folder = independent / HOSTS / name
            edit_json(folder / HOST_FACTS, lambda facts: facts.update(gpus=[gpu]))
            reseal(folder)
        report = build_report(independent)
        assert host(report, "host-a").accelerator == "1x NVIDIA A30"
        assert scenario(report, "Offline").aggregate_tokens_per_second is None

    def test_takes_hosts_without_a_machine_id_for_independent(self, independent: Path) -> None:
        for name in ("host-a", "host-b"):
            set_machine_id(independent / HOSTS / name, "")
        assert scenario(build_report(independent), "Offline").aggregate_tokens_per_second

    def test_leaves_out_a_host_that_is_damaged(self, independent: Path) -> None:
        (independent / HOSTS / "host-b" / HOST_FACTS).write_text("{}", encoding="utf-8")
        item = scenario(build_report(independent), "Offline")
        log = independent / HOSTS / "host-a" / PHASES / "offline-performance" / DETAIL_LOG
        logged = logged_value(log, "result_tokens_per_second")
        assert item.valid_hosts == 1
        assert item.aggregate_tokens_per_second == pytest.approx(logged, rel=1e-5)

    def test_is_never_made_of_single_stream(self, tmp_path: Path) -> None:
        """Two hosts are twice as many single streams, not one that is twice as fast."""
        edge = {
            "suite": "edge",
            "scenarios": ["SingleStream", "Offline"],
            "modes": ["performance"],
            "length": {"samples": 128, "server_queries": 500},
        }
        plans = [make_plan(name, **edge) for name in ("host-a", "host-b")]
        folder = make_run(tmp_path / "results", run_agents(tmp_path / "home", plans))
        for name in ("host-a", "host-b"):
            set_machine_id(folder / HOSTS / name, f"machine-of-{name}")
        report = build_report(folder)
        assert [item.scenario.value for item in report.scenarios] == ["Offline", "SingleStream"]
        alone = scenario(report, "SingleStream")
        assert (alone.valid_hosts, alone.aggregate_tokens_per_second) == (2, None)
        assert "nothing adds up" in alone.note
        assert scenario(report, "Offline").aggregate_tokens_per_second
        assert "SingleStream" not in report.headline

    def test_shows_each_host_as_a_share_of_the_best(self, independent: Path) -> None:
        item = scenario(build_report(independent), "Offline")
        best = max(entry.tokens_per_second for entry in item.hosts)
        assert max(entry.of_best for entry in item.hosts) == 1.0
        for entry in item.hosts:
            assert entry.of_best == pytest.approx(entry.tokens_per_second / best, abs=1e-4)


class TestGroups:
    @pytest.fixture
    def mixed(self, runs: dict[str, HostRun], tmp_path: Path) -> Path:
        folder = make_run(tmp_path / "results", runs.values())
        for name in runs:
            set_machine_id(folder / HOSTS / name, f"machine-of-{name}")
        return folder

    def test_compare_hosts_of_one_plan_alone(self, mixed: Path) -> None:
        report = build_report(mixed)
        assert {item.name: item.group for item in report.hosts} == {
            "host-a": "A",
            "host-b": "A",
            "host-c": "B",
        }
        assert [
            (s.group, s.scenario.value, [h.host for h in s.hosts]) for s in report.scenarios
        ] == [
            ("A", "Offline", ["host-a", "host-b"]),
            ("A", "Server", ["host-a", "host-b"]),
            ("B", "Offline", ["host-c"]),
        ]
        assert scenario(report, "Offline", "B").hosts[0].of_best == 1.0

    def test_are_said_to_be_not_comparable_and_no_figure_mixes_them(self, mixed: Path) -> None:
        report = build_report(mixed)
        both = scenario(report, "Offline"), scenario(report, "Offline", "B")
        assert both[0].note.endswith("; not comparable with group B: another plan")
        assert both[1].note.endswith("; not comparable with group A: another plan")
        assert "not comparable" not in scenario(report, "Server").note
        for shown in (render_html(report), render_markdown(report)):
            assert "not comparable with group B: another plan" in shown
        speeds = {entry.host: entry.tokens_per_second for of in both for entry in of.hosts}
        assert both[0].aggregate_tokens_per_second == pytest.approx(
            speeds["host-a"] + speeds["host-b"], abs=1e-4
        )
        assert both[1].aggregate_tokens_per_second == pytest.approx(speeds["host-c"], abs=1e-4)
        assert f"{sum(speeds.values()):,.1f}" not in report.headline
        assert f"{both[0].aggregate_tokens_per_second:,.1f} tokens/s on 2 hosts of group A" in (
            report.headline
        )

    def test_have_the_plan_that_their_hosts_share(self, mixed: Path) -> None:
        plans = build_report(mixed).plans
        assert set(plans) == {"A", "B"}
        assert "host" not in plans["A"]
        assert plans["A"]["scenarios"] != plans["B"]["scenarios"]

    def test_give_a_host_that_was_not_selected_none(self, fleet: Path) -> None:
        assert host(build_report(fleet), "host-z").group is None

    def test_tell_in_what_their_plans_differ(self, mixed: Path) -> None:
        names = {item.name for item in build_report(mixed).differences}
        assert {"plan: scenarios.Offline.modes", "plan: scenarios.Server.modes"} <= names
        assert "plan: length.samples" not in names


class TestDifferences:
    def test_list_nothing_that_is_equal_or_names_a_host(self, independent: Path) -> None:
        assert build_report(independent).differences == ()

    def test_list_a_fact_with_the_hosts_that_have_each_value(self, independent: Path) -> None:
        folder = independent / HOSTS / "host-b"

        def change(facts: dict[str, object]) -> None:
            facts["kernel"] = "9.9"
            facts["hostname"] = "another-name"
            packages = facts["packages"]
            assert isinstance(packages, dict)
            packages["numpy"] = "0.1"

        edit_json(folder / HOST_FACTS, change)
        reseal(folder)
        found = {item.name: item.values for item in build_report(independent).differences}
        assert set(found) == {"host: kernel", "host: package numpy"}
        assert found["host: kernel"]["9.9"] == ("host-b",)
        assert sorted(names for names in found["host: kernel"].values()) == [
            ("host-a",),
            ("host-b",),
        ]


class TestTruth:
    def test_says_what_keeps_the_numbers_from_mlperf(self, fleet: Path) -> None:
        report = build_report(fleet)
        labels = ("short", "synthetic-dataset", "random-weights", "null-engine")
        assert report.labels == labels
        assert host(report, "host-a").labels == labels
        assert report.statement.startswith("None of these numbers is an MLPerf result")
        assert all(label in report.statement for label in labels)

    def test_says_so_too_where_the_controllers_plans_are_gone(self, fleet: Path) -> None:
        for path in (fleet / PLANS).iterdir():
            path.unlink()
        assert build_report(fleet).statement.startswith("None of these numbers is an MLPerf result")

    def test_claims_nothing_where_no_host_told_a_number(self, fleet: Path) -> None:
        for path in (*(fleet / PLANS).iterdir(), *(fleet / HOSTS).glob("*/*.json")):
            path.unlink()
        assert build_report(fleet).statement.startswith("There is no number here")

    def test_defines_every_unit_that_it_uses(self, fleet: Path) -> None:
        assert {"tokens/s", "TTFT", "TPOT", "ROUGE", "gen_len"} <= set(
            build_report(fleet).definitions
        )

    def test_depends_on_the_folder_alone(self, fleet: Path) -> None:
        before = snapshot(fleet)
        first = build_report(fleet)
        assert build_report(fleet) == first
        assert snapshot(fleet) == before
        moved = fleet.rename(fleet.with_name("moved"))
        assert build_report(moved) == first

    def test_survives_its_own_json(self, fleet: Path) -> None:
        report = build_report(fleet)
        assert FleetReport.model_validate_json(report.model_dump_json()) == report

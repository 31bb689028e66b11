"""Which runs a study has, and what it refuses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_aggregator.fleet.record import newest_run, read_record, write_record
from loadfleet_aggregator.fleet.settings import FleetSettings, InventoryError, PlannedHost
from loadfleet_aggregator.scaling.record import (
    choose_study,
    is_finished,
    open_study,
    refuse_study,
    study_hosts,
    study_runs,
)

from ..helpers import make_plan

NOW = utc_now()


def hosts(*names: str, fleet: dict[str, Any] | None = None, **changes: Any) -> list[PlannedHost]:
    settings = FleetSettings.model_validate({"study": "scaling"} | (fleet or {}))
    return [PlannedHost(name, settings, make_plan(name, **changes)) for name in names]


def close(folder: Path) -> None:
    write_record(folder, read_record(folder).model_copy(update={"closed": True}))


class TestRuns:
    def test_stand_in_turns_and_every_second_repeat_the_other_way_round(self) -> None:
        runs = study_runs("s", ["a", "b"], 3)
        assert [run.run_id for run in runs] == [
            "s-1-together", "s-1-alone-a", "s-1-alone-b",
            "s-2-alone-b", "s-2-alone-a", "s-2-together",
            "s-3-together", "s-3-alone-a", "s-3-alone-b",
        ]  # fmt: skip
        assert [run.together for run in runs[:3]] == [True, False, False]
        assert [run.hosts for run in runs[:3]] == [("a", "b"), ("a",), ("b",)]

    def test_of_a_host_with_a_long_name_are_named_by_its_place(self) -> None:
        long = "h" * 60
        runs = study_runs("20261122T024033Z-scaling", [long, "b"], 1)
        assert [run.run_id for run in runs][1:] == [
            "20261122T024033Z-scaling-1-alone-1",
            "20261122T024033Z-scaling-1-alone-b",
        ]


class TestHosts:
    def test_are_the_first_four_with_offline_performance_alone(self) -> None:
        taken = study_hosts(hosts("a", "b", "c", "d", "e"))
        assert [host.name for host in taken] == ["a", "b", "c", "d"]
        for host in taken:
            assert host.plan.barriers == ("offline-performance",)
            assert host.plan.phases == (("Offline", "performance"),)

    def test_are_as_many_as_was_said(self) -> None:
        assert len(study_hosts(hosts("a", "b", "c", fleet={"study_hosts": 2}))) == 2

    def test_one_is_refused(self) -> None:
        with pytest.raises(InventoryError, match="needs two hosts or more, and a alone is"):
            study_hosts(hosts("a"))

    def test_without_offline_are_refused(self) -> None:
        with pytest.raises(InventoryError, match="loadfleet_scenarios of host a has none: add"):
            study_hosts(hosts("a", "b", scenarios=["Server"]))


class TestOpening:
    def test_plans_each_run_with_a_barrier_where_hosts_are_together(self, tmp_path: Path) -> None:
        planned = study_hosts(hosts("a", "b"))
        record = open_study(tmp_path, "s", planned, NOW, asked=False)
        plans = {}
        for run in record.runs:
            folder = tmp_path / "s" / run.run_id
            assert read_record(folder).selected == list(run.hosts)
            for name in run.hosts:
                plan = RunPlan.model_validate_json((folder / "plans" / f"{name}.json").read_bytes())
                assert (plan.run_id, plan.host, plan.sync_start) == (run.run_id, name, run.together)
                plans[run.run_id, name] = plan.plan_hash
        # Alone and together it is the same that is measured.
        assert len(set(plans.values())) == 1
        assert newest_run(tmp_path) is None

    def test_again_it_goes_on_and_leaves_finished_runs_as_they_are(self, tmp_path: Path) -> None:
        planned = study_hosts(hosts("a", "b"))
        assert choose_study(tmp_path, None, NOW)[1] is False
        record = open_study(tmp_path, "s", planned, NOW, asked=False)
        first = record.runs[0]
        close(tmp_path / "s" / first.run_id)
        before = (tmp_path / "s" / first.run_id / "run.json").read_bytes()
        assert choose_study(tmp_path, None, NOW) == ("s", True)
        assert open_study(tmp_path, "s", planned, NOW + timedelta(hours=1), asked=False) == record
        assert (tmp_path / "s" / first.run_id / "run.json").read_bytes() == before
        for run in record.runs:
            close(tmp_path / "s" / run.run_id)
        assert all(is_finished(tmp_path / "s", run) for run in record.runs)
        new, continued = choose_study(tmp_path, None, NOW)
        assert (new, continued) == (f"{NOW:%Y%m%dT%H%M%SZ}-scaling", False)

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            (hosts("a", "b", "c"), "planned for hosts a, b: go on with it as it was planned"),
            (hosts("a", "b", fleet={"study_repeats": 5}), "planned with 3 repeats"),
            (
                hosts("a", "b", engine={"max_num_seqs": 17}),
                "planned with other settings of host a",
            ),
        ],
    )
    def test_another_study_under_its_name_is_refused(
        self, tmp_path: Path, other: list[PlannedHost], said: str
    ) -> None:
        open_study(tmp_path, "s", study_hosts(hosts("a", "b")), NOW, asked=False)
        with pytest.raises(InventoryError, match=said):
            open_study(tmp_path, "s", study_hosts(other), NOW, asked=False)

    def test_a_run_is_no_study_and_a_study_no_run(self, tmp_path: Path) -> None:
        record = open_study(tmp_path, "s", study_hosts(hosts("a", "b")), NOW, asked=True)
        with pytest.raises(InventoryError, match="s is a study: add -e loadfleet_study=scaling"):
            refuse_study(tmp_path, "s")
        with pytest.raises(InventoryError, match="is a run and not a study"):
            choose_study(tmp_path / "s", record.runs[0].run_id, NOW)

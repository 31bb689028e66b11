"""Which run a command goes on with, and what is written before a host is touched."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.fleet.record import (
    PLANS,
    RUN_RECORD,
    RunRecord,
    choose_run_id,
    newest_run,
    only_one_controller,
    open_run,
    read_record,
    write_record,
)
from loadfleet_aggregator.fleet.settings import FleetSettings, InventoryError
from waiting import LONG_S, wait_until

from ..helpers import CREATED, make_plan, planned, snapshot, waits_for_lock

LATER = CREATED + timedelta(hours=1)


def open_hosts(results: Path, *hosts: str, run_id: str = "run-1", qps: float = 500) -> RunRecord:
    plans = [planned(name, make_plan(name, run_id, server_target_qps=qps)) for name in hosts]
    return open_run(results, run_id, plans, ["a", "b", "c"], CREATED, asked=False)


def close(results: Path, run_id: str = "run-1") -> None:
    record = read_record(results / run_id)
    write_record(results / run_id, record.model_copy(update={"closed": True}))


class TestChooseRunId:
    def test_makes_an_id_of_the_time_for_the_first_run(self, tmp_path: Path) -> None:
        assert choose_run_id(tmp_path, None, CREATED) == ("20260801T120000Z-llama3-1-8b", False)

    def test_makes_another_id_in_the_same_second(self, tmp_path: Path) -> None:
        (tmp_path / "20260801T120000Z-llama3-1-8b").mkdir()
        assert choose_run_id(tmp_path, None, CREATED) == ("20260801T120000Z-llama3-1-8b-2", False)

    def test_goes_on_with_an_open_run(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        assert choose_run_id(tmp_path, None, LATER) == ("run-1", True)

    def test_makes_an_id_where_the_newest_run_is_closed(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        close(tmp_path)
        assert choose_run_id(tmp_path, None, LATER) == ("20260801T130000Z-llama3-1-8b", False)

    def test_takes_the_id_that_is_asked_for(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        assert choose_run_id(tmp_path, "mine", LATER) == ("mine", False)
        assert choose_run_id(tmp_path, "run-1", LATER) == ("run-1", True)

    def test_does_not_mind_a_folder_with_a_broken_record(self, tmp_path: Path) -> None:
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / RUN_RECORD).write_text("{", encoding="utf-8")
        assert choose_run_id(tmp_path, None, CREATED)[1] is False

    def test_does_not_take_the_link_to_the_latest_run_for_a_run(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        (tmp_path / "latest").symlink_to("run-1")
        newest = newest_run(tmp_path)
        assert newest is not None
        assert newest.run_id == "run-1"


class TestOpenRun:
    def test_records_the_inventory_the_selected_hosts_and_their_plans(self, tmp_path: Path) -> None:
        record = open_hosts(tmp_path, "a", "b")
        assert read_record(tmp_path / "run-1") == record
        assert record.selected == ["a", "b"]
        assert list(record.hosts) == ["a", "b", "c"]
        assert record.hosts["c"].plan_hash is None
        assert not record.closed
        for name in ("a", "b"):
            path = tmp_path / "run-1" / PLANS / f"{name}.json"
            plan = RunPlan.model_validate_json(path.read_bytes())
            assert (plan.host, plan.plan_hash) == (name, record.hosts[name].plan_hash)

    def test_changes_nothing_where_the_plans_are_the_same(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a", "b")
        before = snapshot(tmp_path)
        open_run(
            tmp_path, "run-1", [planned("a"), planned("b")], ["a", "b", "c"], LATER, asked=False
        )
        assert snapshot(tmp_path) == before

    def test_has_the_prices_as_the_settings_have_them_now(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a", "b")
        dearer = FleetSettings(price_per_gpu_hour=2.5, price_per_kwh=0.3)
        again = [replace(planned("a", make_plan("a", "run-1")), fleet=dearer)]
        record = open_run(tmp_path, "run-1", again, ["a", "b", "c"], LATER, asked=False)
        assert record == read_record(tmp_path / "run-1")
        assert record.hosts["a"].prices == Prices(per_gpu_hour=2.5, per_kwh=0.3)
        assert not record.hosts["b"].prices.given

    def test_keeps_what_is_known_of_finished_hosts(self, tmp_path: Path) -> None:
        record = open_hosts(tmp_path, "a", "b")
        hosts = record.hosts | {"a": record.hosts["a"].model_copy(update={"finished": True})}
        write_record(tmp_path / "run-1", record.model_copy(update={"hosts": hosts}))
        again = open_hosts(tmp_path, "a", "b")
        assert again.hosts["a"].finished
        assert not again.hosts["b"].finished

    def test_extends_a_limited_run_by_other_hosts(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        record = open_hosts(tmp_path, "b", "c")
        assert record.selected == ["a", "b", "c"]
        assert {path.name for path in (tmp_path / "run-1" / PLANS).iterdir()} == {
            "a.json",
            "b.json",
            "c.json",
        }

    def test_lets_an_added_host_have_a_plan_of_its_own(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        record = open_hosts(tmp_path, "b", qps=400)
        assert record.hosts["a"].plan_hash != record.hosts["b"].plan_hash

    def test_opens_a_closed_run_again(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        close(tmp_path)
        assert not open_hosts(tmp_path, "b").closed

    def test_refuses_an_open_run_whose_hosts_would_start_otherwise(self, tmp_path: Path) -> None:
        """The plan's hash is the same, and an agent at work keeps the plan that it has."""
        open_hosts(tmp_path, "a")
        waiting = [planned("a", make_plan("a", sync_start=True))]
        with pytest.raises(InventoryError, match="differs in sync_start"):
            open_run(tmp_path, "run-1", waiting, ["a"], LATER, asked=False)

    def test_refuses_an_open_run_with_another_plan_and_names_both_ways_out(
        self, tmp_path: Path
    ) -> None:
        open_hosts(tmp_path, "a", "b")
        before = snapshot(tmp_path)
        other = make_plan("b", server_target_qps=400, length={"samples": 8, "server_queries": 500})
        with pytest.raises(InventoryError) as caught:
            open_run(
                tmp_path, "run-1", [planned("a"), planned("b", other)], ["a", "b"], LATER,
                asked=False,
            )  # fmt: skip
        said = str(caught.value)
        assert "run run-1 is not finished" in said
        assert "host b" in said
        assert "length.samples, scenarios" in said
        assert "go on with it under its settings" in said
        assert "-e loadfleet_run_id=" in said
        assert snapshot(tmp_path) == before

    def test_refuses_another_plan_under_an_id_that_was_asked_for(self, tmp_path: Path) -> None:
        open_hosts(tmp_path, "a")
        close(tmp_path)
        other = planned("a", make_plan("a", server_target_qps=400))
        with pytest.raises(InventoryError, match=r"run-1 is closed .*another loadfleet_run_id"):
            open_run(tmp_path, "run-1", [other], ["a"], LATER, asked=True)

    def test_refuses_a_record_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "run-1").mkdir()
        (tmp_path / "run-1" / RUN_RECORD).write_text("{", encoding="utf-8")
        with pytest.raises(InventoryError, match=r"run\.json: not a run record"):
            open_hosts(tmp_path, "a")


SECOND_CONTROLLER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from loadfleet_aggregator.fleet.record import choose_run_id, only_one_controller

results = Path(sys.argv[1])
with only_one_controller(results):
    print(*choose_run_id(results, None, datetime(2026, 8, 1, 13, tzinfo=UTC)))
"""


def test_a_second_controller_waits_and_goes_on_with_the_run_of_the_first(tmp_path: Path) -> None:
    with only_one_controller(tmp_path):
        second = subprocess.Popen(
            [sys.executable, "-c", SECOND_CONTROLLER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(
            lambda: waits_for_lock(second.pid) or second.poll() is not None, "the second waits"
        )
        assert second.poll() is None
        open_hosts(tmp_path, "a")
    output, _ = second.communicate(timeout=LONG_S)
    assert output.split() == ["run-1", "True"]

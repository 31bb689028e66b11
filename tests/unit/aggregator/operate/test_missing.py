"""Hosts whose files are not whole on the controller."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from loadfleet_agent.contract.run_folder import MANIFEST, RESULT
from loadfleet_aggregator.fleet.record import HOSTS
from loadfleet_aggregator.fleet.settings import InventoryError
from loadfleet_aggregator.operate.missing import chosen_run, missing_hosts

from ..helpers import RUN_ID


def test_a_whole_run_lacks_nothing(fleet: Path) -> None:
    assert missing_hosts(fleet) == []


def test_names_each_way_of_not_being_whole(fleet: Path) -> None:
    shutil.rmtree(fleet / HOSTS / "host-a")
    (fleet / HOSTS / "host-b" / RESULT).write_text("{}")
    assert [item.host for item in missing_hosts(fleet)] == ["host-a", "host-b"]
    first, second = missing_hosts(fleet)
    assert first.why == "nothing was collected"
    assert RESULT in second.why


def test_a_host_that_was_collected_while_it_ran(fleet: Path) -> None:
    (fleet / HOSTS / "host-a" / MANIFEST).unlink()
    (item,) = missing_hosts(fleet)
    assert item.why == "it was not at its end when it was collected"


def test_the_newest_run_is_meant_where_none_is_named(fleet: Path) -> None:
    assert chosen_run(fleet.parent, None) == RUN_ID
    assert chosen_run(fleet.parent, RUN_ID) == RUN_ID


@pytest.mark.parametrize("run_id", [None, "another"])
def test_a_run_that_is_not_there(tmp_path: Path, run_id: str | None) -> None:
    with pytest.raises(InventoryError, match=run_id or "loadfleet run"):
        chosen_run(tmp_path, run_id)

"""Hosts that could wait for each other for ever are refused before one is touched."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_aggregator.fleet.settings import FleetSettings, InventoryError, PlannedHost
from loadfleet_aggregator.fleet.together import require_together

from ..helpers import make_plan


def host(name: str, sync_wait_s: float = 1500.0, **changes: Any) -> PlannedHost:
    fleet = FleetSettings(sync_wait_s=sync_wait_s)
    return PlannedHost(name, fleet, make_plan(name, **({"sync_start": True} | changes)))


def test_all_or_none() -> None:
    assert require_together([host("a"), host("b")], forks=2)
    assert not require_together([host("a", sync_start=False)] * 500, forks=2)


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([host("a"), host("b", sync_start=False)], "true on some hosts and not on b: set it for"),
        (
            [host("a"), host("b"), host("c")],
            "3 hosts start together and Ansible watches only 2 at a time: add --forks 3",
        ),
        (
            [
                host("a", scenarios=["Offline", "Server"]),
                host("b", scenarios=["Server", "Offline"]),
            ],
            "all hosts must have them in one order",
        ),
        (
            [host("a", inactivity={"barrier_s": 60})],
            "1500 s on host a: make it less than inactivity.barrier_s, 60 s",
        ),
    ],
)
def test_a_refusal_says_what_to_do(hosts: list[PlannedHost], said: str) -> None:
    with pytest.raises(InventoryError, match=said):
        require_together(hosts, forks=2)


def test_hosts_may_have_a_part_of_the_scenarios_each() -> None:
    some = [host("a", scenarios=["Offline"]), host("b", scenarios=["Server"])]
    assert require_together([*some, host("c")], forks=5)

"""Contradictions and misspelt settings in an inventory."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from loadfleet_aggregator.fleet.groups import Group, contradictions, misspelt_settings

PREFIXES = ("nvidia_driver_", "loadfleet_")


def group(name: str, variables: dict[str, Any], ancestors: tuple[str, ...] = ("all",)) -> Group:
    return Group(name, 1, 1, variables, frozenset(ancestors))


def found(*groups: Group, own: dict[str, Any] | None = None) -> list[str]:
    return contradictions("gpu-01", groups, own or {}, PREFIXES)


def test_two_groups_that_disagree_are_named_with_both_values() -> None:
    (line,) = found(
        group("rack_a", {"nvidia_driver_branch": "580"}),
        group("rack_b", {"nvidia_driver_branch": "595"}),
    )
    assert line == (
        "gpu-01: nvidia_driver_branch is '580' in group rack_a and '595' in group rack_b: "
        "set it on the host, or keep it in one group"
    )


@pytest.mark.parametrize(
    "groups",
    [
        (group("a", {"nvidia_driver_branch": "580"}), group("b", {"nvidia_driver_branch": "580"})),
        (group("a", {"ansible_user": "x"}), group("b", {"ansible_user": "y"})),
        (
            group("all", {"nvidia_driver_branch": "580"}, ()),
            group("a", {"nvidia_driver_branch": "595"}),
        ),
        (
            group("a", {"nvidia_driver_branch": "580"}),
            Group("b", 1, 10, {"nvidia_driver_branch": "595"}, frozenset({"all"})),
        ),
    ],
    ids=["equal values", "not a setting of ours", "one within the other", "ranked by the user"],
)
def test_is_no_contradiction(groups: tuple[Group, ...]) -> None:
    assert found(*groups) == []


def test_the_hosts_own_value_settles_it() -> None:
    groups = (
        group("a", {"nvidia_driver_branch": "580"}),
        group("b", {"nvidia_driver_branch": "595"}),
    )
    assert found(*groups, own={"nvidia_driver_branch": "580"}) == []


class TestMisspelt:
    KNOWN: ClassVar = {
        "docker": ["docker_version", "docker_source"],
        "preflight": ["preflight_systems"],
    }

    def test_suggests_the_setting_that_is_meant(self) -> None:
        (line,) = misspelt_settings("gpu-01", ["docker_verison"], self.KNOWN)
        assert line == "gpu-01: docker_verison: no such setting; did you mean docker_version?"

    def test_leaves_other_roles_variables_alone(self) -> None:
        names = ["docker_users", "docker_version", "ntp_servers"]
        assert misspelt_settings("gpu-01", names, self.KNOWN) == []

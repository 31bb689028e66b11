"""Names of units; what systemd does with them is tried on test machines, in tests/fleet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loadfleet_agent.units import container_unit, venv_unit

UNIT_NAME = r"[A-Za-z0-9:_.\\@-]{1,255}"
"""systemd.unit(5)"""
HOME = Path("/var/lib/loadfleet")


@pytest.mark.parametrize("run_id", ["r", "20261122T050000Z-fleet", "a.b_c-d", "x" * 63])
def test_every_run_id_makes_a_unit_name(run_id: str) -> None:
    assert container_unit(run_id) == f"loadfleet-agent@{run_id}.service"
    for name in (container_unit(run_id), venv_unit(run_id, HOME)):
        assert re.fullmatch(UNIT_NAME, name)


def test_runs_of_two_data_folders_have_units_of_their_own() -> None:
    names = {
        venv_unit("one", HOME),
        venv_unit("two", HOME),
        venv_unit("one", Path("/other")),
        container_unit("one"),
        container_unit("two"),
    }
    assert len(names) == 5

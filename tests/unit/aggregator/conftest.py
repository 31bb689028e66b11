"""Finished runs of real agents, made once and copied by each test that changes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from .helpers import HostRun, make_plan, make_run, run_agents


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HostRun]:
    """host-a and host-b with one plan, host-c with an Offline performance run alone."""
    plans = [
        make_plan("host-a"),
        make_plan("host-b"),
        make_plan("host-c", scenarios=["Offline"], modes=["performance"]),
    ]
    return {run.plan.host: run for run in run_agents(tmp_path_factory.mktemp("homes"), plans)}


@pytest.fixture(scope="session")
def host_a(runs: dict[str, HostRun]) -> HostRun:
    return runs["host-a"]


@pytest.fixture(scope="session")
def host_b(runs: dict[str, HostRun]) -> HostRun:
    return runs["host-b"]


@pytest.fixture(scope="session")
def host_c(runs: dict[str, HostRun]) -> HostRun:
    return runs["host-c"]


@pytest.fixture
def folder(host_a: HostRun, tmp_path: Path) -> Path:
    """A copy of host-a's folder, to be changed."""
    return host_a.copy_to(tmp_path / "host-a")


@pytest.fixture
def fleet(host_a: HostRun, host_b: HostRun, tmp_path: Path) -> Path:
    """A run's folder on the controller: host-a and host-b collected, host-z not selected."""
    return make_run(tmp_path / "results", [host_a, host_b], inventory=["host-z"])

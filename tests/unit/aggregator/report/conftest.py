"""A host with GPUs, and whole fleets like it, made once."""

from __future__ import annotations

import pytest
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport

from ..filled import filled_fleet
from ..helpers import HostRun
from ..submission.official_runs import collect
from .gpu_hosts import gpu_host


@pytest.fixture(scope="session")
def h100_host(tmp_path_factory: pytest.TempPathFactory) -> HostRun:
    """One H100, Offline and Server, with energy."""
    return gpu_host(tmp_path_factory.mktemp("h100") / "run", "gpu-01")


@pytest.fixture(scope="session")
def h100_report(h100_host: HostRun, tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    folder = collect(tmp_path_factory.mktemp("one"), [h100_host])
    return build_report(folder, Prices(per_gpu_hour=2.5, per_kwh=0.3))


@pytest.fixture(scope="session")
def eight(h100_report: FleetReport) -> FleetReport:
    """gpu-3 slow, gpu-4 another driver, gpu-5 failed, gpu-6 unreachable, gpu-7 not valid in Server,
    gpu-8 not selected."""
    return filled_fleet(h100_report, 8)


@pytest.fixture(scope="session")
def large(h100_report: FleetReport) -> FleetReport:
    """120 hosts, the third to the eighth as in ``eight``."""
    return filled_fleet(h100_report, 120)

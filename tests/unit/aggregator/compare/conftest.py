"""The report of one real folder, from which fleets are made."""

from __future__ import annotations

import pytest
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport

from ..helpers import make_run
from ..report.gpu_hosts import gpu_host


@pytest.fixture(scope="session")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> FleetReport:
    """One H100 with valid Offline and Server runs of official length."""
    home = tmp_path_factory.mktemp("compared")
    return build_report(make_run(home / "results", [gpu_host(home / "run", "gpu-01")]))

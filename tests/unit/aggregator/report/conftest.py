"""A host with GPUs, made once."""

from __future__ import annotations

import pytest

from ..helpers import HostRun
from .gpu_hosts import gpu_host


@pytest.fixture(scope="session")
def h100_host(tmp_path_factory: pytest.TempPathFactory) -> HostRun:
    """One H100, Offline and Server, with energy."""
    return gpu_host(tmp_path_factory.mktemp("h100") / "run", "gpu-01")

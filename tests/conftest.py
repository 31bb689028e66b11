"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlperf_logs() -> Path:
    """Folder of real MLPerf v5.1 logs of Llama-3.1-8B: ``submitter-system/scenario``."""
    return Path(__file__).parent / "data" / "mlperf-v5.1-logs"

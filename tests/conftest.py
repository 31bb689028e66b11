"""What every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

INTERN = sys.intern
"""Python's own: Ansible, where a test imports it, puts another in its place."""
EXAMPLES = os.environ.get("LOADFLEET_EXAMPLES")
settings.register_profile(
    "loadfleet",
    max_examples=int(EXAMPLES or 20),
    # The same examples each time, unless more are asked for: a change is judged by what it does.
    derandomize=EXAMPLES is None,
    database=None,
    # A failure is shown as it was found; to make it small takes minutes, and more examples.
    phases=(Phase.explicit, Phase.generate) + ((Phase.shrink,) if EXAMPLES else ()),
    deadline=None,  # no test judges speed
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("loadfleet")


@pytest.fixture(scope="session")
def torch_beside_ansible() -> None:
    """torch is imported, whose compiler takes no other sys.intern than Python's own."""
    found, sys.intern = sys.intern, INTERN
    try:
        import torch._dynamo  # noqa: F401
    finally:
        sys.intern = found


@pytest.fixture(scope="session")
def mlperf_logs() -> Path:
    """Folder of real MLPerf v5.1 logs of Llama-3.1-8B: ``submitter-system/scenario``."""
    return Path(__file__).parent / "data" / "mlperf-v5.1-logs"

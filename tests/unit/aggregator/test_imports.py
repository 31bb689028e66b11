"""The controller's program stays light and apart from the agent."""

from __future__ import annotations

import json

import pytest

from .helpers import run_python

LIST_MODULES = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
HEAVY = ("torch", "vllm", "pyarrow", "transformers", "mlperf_loadgen", "nltk")
STATISTICS = ("numpy", "scipy")
"""That only a report needs."""
REPORTING = (
    "loadfleet_aggregator.report.build",
    "loadfleet_aggregator.report.render",
    "loadfleet_aggregator.compare.build",
    "loadfleet_aggregator.compare.render",
    "loadfleet_aggregator.history.build",
    "loadfleet_aggregator.collect",
)
OTHERS = (
    "loadfleet_aggregator.cli",
    "loadfleet_aggregator.image",
    "loadfleet_aggregator.wheelhouse",
)


@pytest.mark.parametrize("module", [*REPORTING, *OTHERS])
def test_the_aggregator_imports_the_contract_alone_and_nothing_heavy(module: str) -> None:
    loaded = set(json.loads(run_python(LIST_MODULES.format(module=module))))
    assert module in loaded
    agents = {name for name in loaded if name.startswith("loadfleet_agent.")}
    assert {name for name in agents if name.split(".")[1] != "contract"} == set()
    assert loaded.isdisjoint(HEAVY)
    if module in OTHERS:
        assert loaded.isdisjoint(STATISTICS)

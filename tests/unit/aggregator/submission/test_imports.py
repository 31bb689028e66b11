"""Making a package needs the contract and nothing heavy."""

from __future__ import annotations

import json

from ..helpers import run_python
from ..test_imports import HEAVY, LIST_MODULES


def test_a_package_is_made_without_the_agent_and_without_anything_heavy() -> None:
    module = "loadfleet_aggregator.submission.build"
    loaded = set(json.loads(run_python(LIST_MODULES.format(module=module))))
    assert module in loaded
    agents = {name for name in loaded if name.startswith("loadfleet_agent.")}
    assert {name for name in agents if name.split(".")[1] != "contract"} == set()
    assert loaded.isdisjoint(HEAVY)


def test_the_command_imports_none_of_it_before_it_is_called() -> None:
    loaded = json.loads(run_python(LIST_MODULES.format(module="loadfleet_aggregator.cli")))
    assert not [name for name in loaded if name.startswith("loadfleet_aggregator.submission")]

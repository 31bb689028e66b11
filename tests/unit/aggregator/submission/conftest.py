"""Runs of official length to package, made once for each round and suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario, Suite

from ..helpers import HostRun
from .official_runs import collect, official_plan, published_score, run_live_phases, seal_host

LOGS = Path(__file__).parent / "logs"
"""Saved performance logs of v6.1: ``suite/scenario``."""
ALL = {
    Suite.DATACENTER: (Scenario.OFFLINE, Scenario.SERVER, Scenario.INTERACTIVE),
    Suite.EDGE: (Scenario.SINGLE_STREAM, Scenario.OFFLINE),
}
PUBLISHED = {
    (Suite.DATACENTER, Scenario.OFFLINE): "redhat-l40s/offline",
    (Suite.DATACENTER, Scenario.SERVER): "redhat-l40s/server",
    (Suite.DATACENTER, Scenario.INTERACTIVE): "nvidia-b200x8/interactive",
    (Suite.EDGE, Scenario.SINGLE_STREAM): "intel-b60-edge/singlestream",
    (Suite.EDGE, Scenario.OFFLINE): "intel-b60-edge/offline",
}
"""Submissions of v5.1 whose performance logs and scores stand in for runs of that round."""

Seal = Callable[..., HostRun]


@pytest.fixture(scope="session")
def seal(tmp_path_factory: pytest.TempPathFactory, mlperf_logs: Path) -> Seal:
    """Makes a host's sealed run, of v6.1 and the datacenter suite unless said otherwise."""
    live: dict[tuple[str, Suite], Path] = {}
    hosts: dict[str, HostRun] = {}

    def sealed(
        host: str = "gpu-01",
        *,
        round_name: str = "v6.1",
        suite: Suite = Suite.DATACENTER,
        **changes: Any,
    ) -> HostRun:
        key = f"{host} {round_name} {suite} {changes}"
        if key not in hosts:
            plan = official_plan(host, suite, **changes)
            if (round_name, suite) not in live:
                whole = official_plan("live", suite, scenarios=ALL[suite])
                folder = tmp_path_factory.mktemp("live") / "phases"
                live[round_name, suite] = run_live_phases(whole, folder, round_name)
            logs, scores = {}, {}
            for scenario in ALL[suite]:
                logs[scenario] = LOGS / round_name / suite / scenario.value.lower()
                if round_name == "v5.1":
                    logs[scenario] = mlperf_logs / PUBLISHED[suite, scenario]
                    scores[scenario] = published_score(logs[scenario] / "accuracy.txt")
            folder = tmp_path_factory.mktemp("sealed") / host
            hosts[key] = seal_host(folder, plan, live[round_name, suite], logs, scores)
        return hosts[key]

    return sealed


@pytest.fixture
def run(seal: Seal, tmp_path: Path) -> Path:
    """A run's folder on the controller with all that a closed datacenter package of v6.1 needs,
    to be changed: host gpu-01, Offline and Server."""
    return collect(tmp_path / "results", [seal()])


@pytest.fixture
def host(run: Path) -> Path:
    """The folder of the run's host."""
    return run / "hosts" / "gpu-01"

"""The estimate of a fleet: each plan once, under its hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_agent.contract.estimate import estimate_run
from loadfleet_agent.contract.estimate_text import describe_estimate
from loadfleet_aggregator.fleet.estimate import describe_plans
from loadfleet_aggregator.fleet.settings import plan_hosts

SETTINGS: dict[str, Any] = {
    "loadfleet_profile": "a30-bf16",
    "loadfleet_model": {"source": "path", "path": "/models/llama"},
    "loadfleet_dataset": {"source": "file", "path": "/datasets/cnn_eval.json"},
    "loadfleet_offline_target_qps": 5,
    "loadfleet_server_target_qps": 4,
}
SLOW = SETTINGS | {"loadfleet_server_target_qps": 3}
ELSEWHERE = SETTINGS | {"loadfleet_model": {"source": "path", "path": "/data/llama"}}


def _described(hosts: dict[str, dict[str, Any]]) -> list[str]:
    return describe_plans(plan_hosts(hosts, "run", lambda *_: "", Path()))


def test_equal_plans_of_a_thousand_hosts_are_told_once() -> None:
    hosts = {f"gpu-{number:04}": SETTINGS for number in range(1000)}
    lines = _described(hosts)
    assert lines[0] == "plan of each of gpu-0000, gpu-0001, gpu-0002 and 997 more:"
    (planned,) = plan_hosts({"one": SETTINGS}, "run", lambda *_: "", Path())
    assert lines[1:] == [f"  {line}" for line in describe_estimate(estimate_run(planned.plan))]


def test_different_plans_are_told_apart() -> None:
    lines = _described({"one": SETTINGS, "two": SLOW, "three": SETTINGS})
    heads = [line for line in lines if line.startswith("plan of")]
    assert heads == ["plan of each of one, three:", "plan of two:"]
    assert sum("server-performance" in line for line in lines) == 2
    assert sum("74 min" in line for line in lines) == 2


def test_plans_that_take_the_same_time_are_told_once() -> None:
    lines = _described({"one": SETTINGS, "two": ELSEWHERE})
    assert [line for line in lines if line.startswith("plan of")] == ["plan of each of one, two:"]

"""start and run."""

from __future__ import annotations

import json

from loadfleet_agent.contract.estimate import RunEstimate

from ..helpers import ENDLESS, QUICK, Agent


def test_json_of_a_run_from_its_start_is_the_result_alone(agent: Agent) -> None:
    done = agent("run", *agent.settings("json", QUICK), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads((agent.folder("json") / "result.json").read_text())


def test_failures_are_json_too_where_json_is_asked_for(agent: Agent) -> None:
    agent.start("first", ENDLESS)
    for command in ("start", "run"):
        done = agent(command, *agent.settings("second", ENDLESS), "--json")
        assert done.returncode == 1
        failure = json.loads(done.stdout)["failure"]
        assert failure["code"] == "busy"
        assert failure["hint"]
    assert agent("stop", "--run-id", "first").returncode == 0


OFFICIAL = [
    "--set",
    "model={source: path, path: /models/llama}",
    "--set",
    "dataset={source: file, path: /datasets/cnn_eval.json}",
    "--set",
    "offline_target_qps=5",
    "--set",
    "server_target_qps=4",
]


def test_plan_only_tells_how_long_a_run_takes_and_runs_nothing(agent: Agent) -> None:
    done = agent("run", *OFFICIAL, "--plan-only")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:5]] == [
        ["offline-performance", "13,368", "45", "min"],
        ["offline-accuracy", "13,368", "45", "min"],
        ["server-performance", "13,368", "56", "min"],
        ["server-accuracy", "13,368", "56", "min"],
    ]
    assert any(line.startswith("open division only: modes: no test06") for line in lines)
    assert list(agent.home.iterdir()) == []


def test_plan_only_as_json_is_an_estimate(agent: Agent) -> None:
    done = agent("run", *OFFICIAL, "--plan-only", "--json")
    assert done.returncode == 0, done.stderr
    estimate = RunEstimate.model_validate_json(done.stdout)
    assert [step.samples for step in estimate.steps] == [13_368] * 4
    assert [item.setting for item in estimate.advice] == ["modes"]


def test_plan_only_refuses_wrong_input(agent: Agent) -> None:
    done = agent("run", *OFFICIAL, "--set", "server_target_qps=-1", "--plan-only")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1

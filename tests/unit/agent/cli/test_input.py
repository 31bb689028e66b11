"""Wrong input ends every command with one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from loadfleet_agent.contract.plan import RunPlan

from ..helpers import QUICK, SLOW, Agent

BASE = ["--set", "profile=null-engine", "--set", "model.source=tiny"]
GOOD = [*BASE, "--set", "dataset.source=synthetic"]
FILES: dict[str, bytes] = {
    "bad.yaml": b"profile: [null-engine\n",
    "list.yaml": b"- profile\n",
    "empty.yaml": b"",
    "number-key.yaml": yaml.safe_dump(QUICK | {1: 2}).encode(),
    "binary.yaml": b"\xff\xfe\x00profile",
    "control.yaml": b"profile: \x00\n",
    "typo.yaml": yaml.safe_dump(QUICK | {"scenarioz": []}).encode(),
    "empty.json": b"",
    "bad.json": b"{",
    "binary.json": b"\xff\xfe",
    "other.json": b'{"run_id": "x"}',
    "list.json": b"[]",
}


WRONG: list[tuple[list[str], list[str]]] = [
    ([*GOOD, "--set", "server_target_qp=3"], ["server_target_qp", "server_target_qps?"]),
    ([*GOOD, "--set", "engine.max_num_seq=3"], ["max_num_seq", "max_num_seqs?"]),
    ([*GOOD, "--set", "modes"], ["--set modes", "key=value"]),
    ([*GOOD, "--set", "modes=[performance"], ["--set modes=[performance"]),
    ([*GOOD, "--set", "profile.x=1"], ["--set profile.x=1"]),
    ([*GOOD, "--set", "server_target_qps=fast"], ["server_target_qps", "fast"]),
    ([*GOOD, "--set", "profile=none"], ["none", "a30-bf16"]),
    (BASE, ["dataset", "missing"]),
    ([], ["model", "missing"]),
    (["--settings", "{}/none.yaml"], ["none.yaml", "No such file"]),
    (["--settings", "{}"], ["Is a directory"]),
    (["--settings", "{}/bad.yaml"], ["bad.yaml", "not YAML"]),
    (["--settings", "{}/list.yaml"], ["list.yaml"]),
    (["--settings", "{}/empty.yaml"], ["empty.yaml"]),
    (["--settings", "{}/number-key.yaml"], ["number-key.yaml", "1"]),
    (["--settings", "{}/binary.yaml"], ["binary.yaml"]),
    (["--settings", "{}/control.yaml"], ["control.yaml"]),
    (["--settings", "{}/typo.yaml"], ["typo.yaml", "scenarioz", "scenarios?"]),
    (["--plan", "{}/none.json"], ["none.json", "No such file"]),
    (["--plan", "{}/empty.json"], ["empty.json"]),
    (["--plan", "{}/bad.json"], ["bad.json"]),
    (["--plan", "{}/binary.json"], ["binary.json"]),
    (["--plan", "{}/other.json"], ["other.json", "engine: missing"]),
    (["--plan", "{}/list.json"], ["list.json"]),
    (["--plan", "-"], ["-"]),
    (["--plan", "{}/bad.json", *GOOD], ["--plan", "--set"]),
]
"""Flags, with {} for the folder of FILES, and words of the message."""


@pytest.mark.parametrize(
    ("command", "flags", "words"),
    [
        (command, flags, words)
        for flags, words in WRONG
        for command in ("start", "run", "prepare")
        # They share how they read --set.
        if command == "start" or flags[:1] in (["--plan"], ["--settings"])
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and value else None,
)
def test_wrong_input_ends_with_2_and_one_line(
    agent: Agent, tmp_path: Path, command: str, flags: list[str], words: list[str]
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    done = agent(command, *(flag.replace("{}", str(tmp_path)) for flag in flags), stdin="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("loadfleet-agent: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr
    assert "None" not in done.stderr
    assert not (agent.home / "runs").exists()


@pytest.mark.parametrize("run_id", ["../x", ".x", "a b", "x" * 64])
def test_a_run_id_that_is_no_name_is_refused(agent: Agent, run_id: str) -> None:
    done = agent("start", *GOOD, "--run-id", run_id)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "run_id" in done.stderr or "--run-id" in done.stderr


@pytest.mark.parametrize("command", ["wait", "status", "stop", "pack"])
@pytest.mark.parametrize("flags", [[], ["--run-id", "none"]], ids=["latest", "named"])
def test_a_run_that_is_not_there_is_refused(
    agent: Agent, tmp_path: Path, command: str, flags: list[str]
) -> None:
    more = ["--output", str(tmp_path / "x.tar.gz")] if command == "pack" else []
    done = agent(command, *flags, *more)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(agent.home) in done.stderr


def test_set_overrides_the_settings_file(agent: Agent) -> None:
    done = agent("start", *agent.settings("merged", SLOW), "--set", "length.samples=32", "--json")
    assert done.returncode == 0, done.stderr
    plan = RunPlan.model_validate_json((agent.folder("merged") / "plan.json").read_bytes())
    assert (plan.length.samples, plan.length.kind) == (32, "short")
    assert plan.scenarios[1].target_qps == 40
    agent("stop")

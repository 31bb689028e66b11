"""The command line: wrong input on one line, JSON for programs, an example for people."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from hub_mirror import HubMirror
from loadfleet_agent.cli import app
from loadfleet_agent.contract.plan import RunPlan

from .conftest import FinishedRun
from .helpers import QUICK, SLOW, Agent

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_all_commands_are_known() -> None:
    assert {
        "inspect",
        "prepare",
        "download",
        "start",
        "run",
        "wait",
        "status",
        "stop",
        "pack",
    } <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(agent: Agent, command: str) -> None:
    done = agent(command, "--help", home=False)
    assert done.returncode == 0
    example = " ".join(done.stdout.partition("Example:")[2].split())
    assert example.startswith(f"loadfleet-agent {command}")
    # Each option that the example uses is one that the command has.
    own = example.partition("&&")[0].split()
    for option in (word for word in own if word.startswith("--")):
        assert option in done.stdout.partition("Example:")[0]


def test_the_version_is_shown(agent: Agent) -> None:
    done = agent("--version", home=False)
    assert re.fullmatch(r"loadfleet-agent \d+\.\d+\.\d+\S*\n", done.stdout)


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


@pytest.fixture
def model_on_the_hub(tmp_path: Path, tiny_folder: Path) -> Iterator[list[str]]:
    """Flags of download that name it."""
    shutil.copytree(tiny_folder, tmp_path / "hub" / "example" / "tiny")
    with HubMirror(tmp_path / "hub") as mirror:
        commit = mirror.commit("example/tiny")
        yield ["--repo", "example/tiny", "--revision", commit, "--endpoint", mirror.url]


def test_json_of_every_command_can_be_read(
    null_run: FinishedRun, tmp_path: Path, model_on_the_hub: list[str]
) -> None:
    agent = null_run.agent
    same = agent.settings(null_run.run_id, QUICK | {"modes": ["performance", "accuracy"]})
    wanted: dict[str, tuple[list[str], set[str]]] = {
        "inspect": ([], {"hostname", "gpus", "packages"}),
        "prepare": (same[:2], {"model", "dataset"}),
        "download": (
            [*model_on_the_hub, "--cache", str(tmp_path / "cache")],
            {"how", "repo", "revision", "folder", "files", "bytes", "verified_sha256"},
        ),
        "start": (same, {"how", "run_id", "folder"}),
        "run": (same, {"outcome", "phases", "accuracy", "plan_hash"}),
        "wait": ([], {"outcome", "phases", "accuracy", "plan_hash"}),
        "status": ([], {"alive", "status", "folder"}),
        "stop": ([], {"run_id", "stopped"}),
        "pack": (["--output", str(tmp_path / "x.tar.gz")], {"archive", "size_bytes", "run_id"}),
    }
    for command in COMMANDS:
        flags, keys = wanted[command]
        done = agent(command, *flags, "--json", home=command != "inspect")
        assert done.returncode == 0, (command, done.stderr)
        assert keys <= set(json.loads(done.stdout)), command


def test_json_of_a_run_from_its_start_is_the_result_alone(agent: Agent) -> None:
    done = agent("run", *agent.settings("json", QUICK), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads((agent.folder("json") / "result.json").read_text())


def test_failures_are_json_too_where_json_is_asked_for(agent: Agent) -> None:
    agent.start("first", SLOW)
    for command in ("start", "run"):
        done = agent(command, *agent.settings("second", SLOW), "--json")
        assert done.returncode == 1
        failure = json.loads(done.stdout)["failure"]
        assert failure["code"] == "busy"
        assert failure["hint"]
    assert agent("stop", "--run-id", "first").returncode == 0


def test_a_missing_model_is_told_on_one_line(agent: Agent, tmp_path: Path) -> None:
    settings = QUICK | {"model": {"source": "path", "path": str(tmp_path / "none")}}
    done = agent("prepare", *agent.settings("x", settings)[:2])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "[model-missing]" in done.stderr


def test_a_pack_holds_the_run_without_its_accuracy_logs(
    null_run: FinishedRun, tmp_path: Path
) -> None:
    files = {
        path.relative_to(null_run.folder).as_posix(): path.read_bytes()
        for path in null_run.folder.rglob("*")
        if path.is_file()
    }
    for flags, wanted in (
        (["--accuracy-logs"], set(files)),
        ([], {name for name in files if not name.endswith("mlperf_log_accuracy.json")}),
    ):
        archive = tmp_path / f"run{len(flags)}.tar.gz"
        done = null_run.agent("pack", "--output", str(archive), *flags)
        assert done.returncode == 0, done.stderr
        with tarfile.open(archive) as opened:
            content = {
                member.name: stream.read()
                for member in opened.getmembers()
                if (stream := opened.extractfile(member))
            }
        assert content == {name: files[name] for name in wanted}
    assert {path.name for path in tmp_path.iterdir()} == {"run0.tar.gz", "run1.tar.gz"}


def test_a_pack_that_cannot_be_written_is_told_on_one_line(null_run: FinishedRun) -> None:
    done = null_run.agent("pack", "--output", "/proc/none/run.tar.gz")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/proc/none" in done.stderr

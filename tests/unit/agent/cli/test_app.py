"""The command as a whole: its parts, its help with an example for people, JSON for programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hub_mirror import HubMirror
from loadfleet_agent.cli import app
from mlcommons_server import MlcommonsServer

from ..conftest import FinishedRun
from ..dataset.hub_dataset import DatasetMirror
from ..helpers import QUICK, Agent

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
MEASURING = {"overhead", "tune"}
"""Commands that take minutes, with tests of their own."""
WAITING = {"go"}
"""A command for a run that waits, with tests of its own."""


def test_all_commands_are_known() -> None:
    assert {
        "inspect",
        "prepare",
        "download",
        "download-dataset",
        "start",
        "run",
        "wait",
        "status",
        "go",
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


@pytest.fixture
def model_on_the_hub(tmp_path: Path, tiny_folder: Path) -> Iterator[list[str]]:
    """Flags of download that name it."""
    shutil.copytree(tiny_folder, tmp_path / "hub" / "example" / "tiny")
    with HubMirror(tmp_path / "hub") as mirror:
        commit = mirror.commit("example/tiny")
        yield ["--repo", "example/tiny", "--revision", commit, "--endpoint", mirror.url]


@pytest.fixture
def dataset_of_mlcommons() -> Iterator[list[str]]:
    """Flags of download-dataset that name it."""
    with MlcommonsServer({"llama3-1-8b-cnn-eval": ("cnn_eval.json", b"[]")}) as server:
        yield ["--endpoint", server.metadata]


def test_json_of_every_command_can_be_read(
    null_run: FinishedRun,
    tmp_path: Path,
    model_on_the_hub: list[str],
    dataset_of_mlcommons: list[str],
    gsm8k_mirror: DatasetMirror,
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
        "download-dataset": (
            [*dataset_of_mlcommons, "--folder", str(tmp_path / "datasets")],
            {"how", "source", "path", "files", "bytes"},
        ),
        "download-task": (
            ["gsm8k", "--endpoint", gsm8k_mirror.url],
            {"how", "task", "data", "questions", "sha256", "path"},
        ),
        "start": (same, {"how", "run_id", "folder"}),
        "run": (same, {"outcome", "phases", "accuracy", "plan_hash"}),
        "wait": ([], {"outcome", "phases", "accuracy", "plan_hash"}),
        "status": ([], {"alive", "status", "folder"}),
        "stop": ([], {"run_id", "stopped"}),
        "pack": (["--output", str(tmp_path / "x.tar.gz")], {"archive", "size_bytes", "run_id"}),
    }
    assert sorted({*wanted, *MEASURING, *WAITING}) == COMMANDS
    for command, (flags, keys) in wanted.items():
        done = agent(command, *flags, "--json", home=command != "inspect")
        assert done.returncode == 0, (command, done.stderr)
        assert keys <= set(json.loads(done.stdout)), command


def test_a_command_starts_without_what_only_a_run_needs() -> None:
    script = "import json, sys, loadfleet_agent.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert "loadfleet_agent.cli.run" in loaded
    assert loaded.isdisjoint({"mlperf_loadgen", "numpy", "pyarrow", "tokenizers", "torch", "vllm"})
    assert loaded.isdisjoint({"loadfleet_agent.run", "loadfleet_agent.worker", "huggingface_hub"})

"""download-task as a user gives it, from a mirror of the hub, and what a run then finds."""

from __future__ import annotations

import json
from pathlib import Path

from ..dataset.hub_dataset import DatasetMirror
from ..helpers import Agent
from .conftest import GSM8K

TOKEN = "hf_theTokenOfOneWhoHasAccess"


def test_a_run_without_a_network_finds_what_was_brought(
    tmp_path: Path, gsm8k_mirror: DatasetMirror
) -> None:
    agent = Agent(tmp_path / "home")
    first = agent("download-task", "gsm8k", "--endpoint", gsm8k_mirror.url, "--json")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert (found["how"], found["data"], found["questions"]) == ("downloaded", GSM8K, 12)
    again = agent("download-task", "gsm8k", "--endpoint", gsm8k_mirror.url)
    assert again.stdout == f"present: gsm8k: 12 questions in {found['path']}\n"
    asked = len(gsm8k_mirror.requests)
    settings = (
        "profile=null-engine", "model.source=tiny", "dataset.source=synthetic",
        "length.samples=16", "scenarios=[Offline]", "modes=[performance]",
        "evaluations=[{task: gsm8k, shots: 1}]",
    )  # fmt: skip
    flags = [word for setting in settings for word in ("--set", setting)]
    done = agent("run", *flags, "--run-id", "asked")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = agent.home / "runs" / "asked" / "phases" / "evaluation-gsm8k"
    result = json.loads((folder / "evaluation.json").read_bytes())
    assert result["data"]["sha256"] == found["sha256"]
    assert result["data"]["questions"] == 12
    assert len(gsm8k_mirror.requests) == asked


def test_a_gated_mirror_gets_the_token_that_stays_in_no_file(
    tmp_path: Path, gsm8k_mirror: DatasetMirror
) -> None:
    gsm8k_mirror.token = TOKEN
    agent = Agent(tmp_path / "home")
    token = tmp_path / "token"
    token.write_text(TOKEN)
    done = agent(
        "download-task", "gsm8k", "--endpoint", gsm8k_mirror.url, "--token-file", str(token)
    )
    assert done.returncode == 0, done.stderr
    kept = [path for path in agent.home.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


def test_mmlu_has_a_command_of_its_own(tmp_path: Path) -> None:
    done = Agent(tmp_path / "home")("download-task", "mmlu")
    assert done.returncode == 2
    assert "download-dataset --source mmlu" in done.stderr


def test_a_hub_out_of_reach_is_told(tmp_path: Path) -> None:
    done = Agent(tmp_path / "home")("download-task", "gsm8k", "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "[evaluation-data]" in done.stderr
    assert "Traceback" not in done.stderr

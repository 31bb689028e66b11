"""tune as a user calls it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from loadfleet_agent.contract.profile import load_profile
from waiting import LONG_S, wait_until

from ..helpers import Agent

SETTINGS = (
    *("--set", "profile=cpu-smoke", "--set", "model.source=tiny"),
    *("--set", "dataset.source=synthetic", "--set", "length.samples=128"),
)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--budget", "soon"], "--budget soon: write it as 90s, 30m or 2h"),
        (["--budget", "0m"], "--budget 0m: write it as 90s, 30m or 2h"),
        (["--scenario", "SingleStream"], "one stream leaves nothing to batch"),
        (["--output", "/nowhere/at/all/tuned.yaml"], "no such folder /nowhere/at/all"),
        (["--keep", "seed"], "--keep: seed is not varied here"),
        (["--set", "profile=null-engine"], "the settings' engine is not vllm"),
    ],
)
def test_wrong_input_is_refused_at_once(agent: Agent, flags: list[str], words: str) -> None:
    done = agent("tune", *SETTINGS, *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_of_someone_else_is_kept(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("description: mine\nbuild: cpu\n", encoding="utf-8")
    done = agent("tune", *SETTINGS, "--output", str(path))
    assert done.returncode == 2
    assert "is no profile that tune has made" in done.stderr
    assert path.read_text("utf-8") == "description: mine\nbuild: cpu\n"


@pytest.mark.vllm
def test_ctrl_c_ends_the_engine_and_says_how_to_go_on(agent: Agent, tmp_path: Path) -> None:
    process = agent.popen("tune", *SETTINGS, "--output", str(tmp_path / "tuned.yaml"))
    wait_until(lambda: list(agent.home.glob("tune/*/trial-0/engine.log")), "the first trial")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LONG_S)
    assert process.returncode == 130
    assert "stopped; the same command goes on" in errors
    assert "Traceback" not in errors
    agent.await_no_process()
    assert not (tmp_path / "tuned.yaml").exists()


@pytest.mark.vllm
def test_a_budget_for_one_trial_gives_the_profile_as_it_was(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    flags = ["--budget", "1s", "--pairs", "0", "--output", str(path), "--json"]
    done = agent("tune", *SETTINGS, *flags)
    assert done.returncode == 0, done.stderr
    (trial,) = json.loads(done.stdout)["trials"]
    assert trial["samples_per_s"] > 0
    assert trial["settings"] == json.loads(done.stdout)["base"]
    profile = load_profile(str(path))
    assert profile.tuning is not None
    assert profile.tuning.engine.startswith("vllm")
    assert profile.engine == load_profile("cpu-smoke").engine

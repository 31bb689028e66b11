"""inspect and prepare."""

from __future__ import annotations

import json
from pathlib import Path

from ..helpers import QUICK, Agent


def test_a_missing_model_is_told_on_one_line(agent: Agent, tmp_path: Path) -> None:
    settings = QUICK | {"model": {"source": "path", "path": str(tmp_path / "none")}}
    done = agent("prepare", *agent.settings("x", settings)[:2])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "[model-missing]" in done.stderr


def test_a_host_without_gpus_is_inspected_without_limits(agent: Agent) -> None:
    told = json.loads(agent("inspect", "--json", home=False).stdout)
    assert (told["gpus"], told["gpu_limits"]) == ([], [])
    assert "tokens/s" not in agent("inspect", home=False).stdout

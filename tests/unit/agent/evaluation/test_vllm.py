"""Real vLLM: our answers to MMLU are those of lm_eval with an engine of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG_S

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "mmlu_parity.py"

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def parity() -> dict[str, Any]:
    """57 questions of each form, asked of our engine and in lm_eval's own command line."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--questions", "57", "--json"],
        capture_output=True,
        text=True,
        timeout=6 * LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_answer_is_that_of_lm_eval_s_own_command_line(parity: dict[str, Any]) -> None:
    assert parity["total"] == 114
    assert parity["identical"] == parity["total"], parity["tasks"]


def test_letters_scored_in_one_pass_are_as_likely_as_one_by_one(parity: dict[str, Any]) -> None:
    (scored,) = (task for task in parity["tasks"] if task["task"] == "mmlu")
    assert scored["largest_log_probability_difference"] < 0.05
    assert len(scored["letters"]) > 1

"""The times of lm_eval are read from the lines in which it tells how far it is."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

PARITY = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "mmlu_parity.py"))

TOLD = """
import sys, time
sys.stderr.write("INFO [evaluator:589] Running loglikelihood requests\\n")
for done in (0, 3, 8):
    sys.stderr.write(f"\\rProcessed prompts: {done}%|##| {done}/8 [00:01<00:01, 2it/s]")
    sys.stderr.flush()
"""
ENDED = """
sys.stderr.write("\\rRunning loglikelihood requests: 100%|##| 8/8 [00:01<00:00, 8it/s]\\n")
"""
ON_AND_ON = """
while True:
    time.sleep(3600)
"""


def watch(script: str, log: Path, limit_s: float | None) -> Any:
    return PARITY["_watch"]([sys.executable, "-c", script], dict(os.environ), log, limit_s)


def test_questions_are_timed_from_the_request_to_the_last_answer(tmp_path: Path) -> None:
    timing = watch(TOLD + ENDED, tmp_path / "log", None)
    assert timing.finished
    assert timing.questions == 8
    assert timing.before_s > 0
    assert timing.before_s + timing.questions_s <= timing.command_s
    assert b"8/8" in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize(
    ("script", "questions"), [(TOLD.replace("(0, 3, 8)", "(0, 3)"), 3), ("import time", 0)]
)
def test_what_is_stopped_tells_how_far_it_came(script: str, questions: int, tmp_path: Path) -> None:
    timing = watch(script + ON_AND_ON, tmp_path / "log", 5.0)
    assert not timing.finished
    assert timing.questions == questions
    assert timing.command_s >= 5.0

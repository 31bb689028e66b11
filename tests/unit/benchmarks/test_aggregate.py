"""The made-up fleet passes every check of the aggregator, and what is planted in it is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LONG_S

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "aggregate.py"


@pytest.mark.parametrize("seed", [1, 2])
def test_every_plant_is_found_with_its_cause(seed: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--hosts", "40", "--samples", "500", "--planted", "0.2",
         "--seed", str(seed), "--json"],
        capture_output=True, text=True, timeout=2 * LONG_S, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["exit_code"] == 0  # all hosts are ok: sealed, and their logs agree with them
    assert found["planted"] == 8
    assert found["recall"] == 1.0
    for cause in found["per_cause"].values():
        assert cause["recall"] in (None, 1.0)
        assert cause["precision"] in (None, 1.0)
